#include "client/render/chart.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "client/render/numbers.h"
#include "client/render/table.h"

namespace innerloop::client {
namespace {

constexpr size_t kDotsAcross = 2;
constexpr size_t kDotsDown = 4;
// The title fits.
constexpr size_t kLeastCells = 24;
constexpr size_t kLeastPlotRows = 2;
// Title, axis, ends of the axis.
constexpr size_t kRowsAround = 3;
constexpr double kLogarithmicFrom = 20;
constexpr absl::string_view kLogarithmic = " (log scale)";
// Of charts of a training.
constexpr size_t kChartRows = 11;
constexpr size_t kLowChartRows = 7;
constexpr size_t kBesideFrom = 80;
constexpr size_t kGap = 2;

std::string Repeat(const std::string& text, size_t times) {
  std::string repeated;
  for (size_t i = 0; i < times; ++i) {
    repeated += text;
  }
  return repeated;
}

std::string Padded(const std::string& text, size_t width) {
  return text + std::string(width - std::min(width, DisplayWidth(text)), ' ');
}

// Dots, and the characters that they make.
class Canvas {
 public:
  Canvas(size_t columns, size_t rows) : columns_(columns), rows_(rows), cells_(columns * rows) {}

  size_t width() const { return columns_ * kDotsAcross; }
  size_t height() const { return rows_ * kDotsDown; }

  void Set(size_t x, size_t y) {
    // Bits of Unicode's Braille patterns.
    static constexpr std::array<std::array<uint8_t, kDotsDown>, kDotsAcross> kBits = {
        {{0x01, 0x02, 0x04, 0x40}, {0x08, 0x10, 0x20, 0x80}}};
    cells_[y / kDotsDown * columns_ + x / kDotsAcross] |= kBits[x % kDotsAcross][y % kDotsDown];
  }

  std::string Row(size_t row) const {
    std::string text;
    for (size_t i = 0; i < columns_; ++i) {
      const uint8_t cell = cells_[row * columns_ + i];
      // U+2800 + cell in UTF-8.
      text += cell == 0 ? std::string(" ")
                        : std::string({'\xe2', static_cast<char>(0xa0 + cell / 64),
                                       static_cast<char>(0x80 + cell % 64)});
    }
    return text;
  }

 private:
  const size_t columns_;
  const size_t rows_;
  std::vector<uint8_t> cells_;
};

// From values to heights in 0..1.
struct Scale {
  double low = 0;
  double high = 0;
  bool logarithmic = false;

  double Height(double value) const {
    if (low == high) {
      return 0.5;
    }
    return logarithmic ? std::log(value / low) / std::log(high / low)
                       : (value - low) / (high - low);
  }
  double Middle() const { return logarithmic ? std::sqrt(low * high) : (low + high) / 2; }
};

// The mean value of each column of dots that has points; straight lines in between.
std::vector<double> ColumnValues(const std::vector<Chart::Point>& points, size_t columns) {
  const double first = points.front().x;
  const double span = points.back().x - first;
  std::vector<double> sums(columns, 0);
  std::vector<int> counts(columns, 0);
  for (const Chart::Point& point : points) {
    const double place = span > 0 ? (point.x - first) / span * static_cast<double>(columns - 1) : 0;
    const auto column = static_cast<size_t>(std::lround(place));
    sums[column] += point.y;
    ++counts[column];
  }
  std::vector<double> values;
  for (size_t i = 0; i < columns; ++i) {
    if (counts[i] == 0) {
      continue;
    }
    const double value = sums[i] / counts[i];
    const size_t missing = i - values.size();
    const double before = values.empty() ? value : values.back();
    for (size_t j = 1; j <= missing; ++j) {
      values.push_back(before + (value - before) * static_cast<double>(j) /
                                    static_cast<double>(missing + 1));
    }
    values.push_back(value);
  }
  return values;
}

Scale ScaleOf(const std::vector<double>& values) {
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  return {.low = *low, .high = *high, .logarithmic = *low > 0 && *high > kLogarithmicFrom * *low};
}

void DrawCurve(const std::vector<double>& values, const Scale& scale, Canvas& canvas) {
  std::optional<size_t> before;
  for (size_t x = 0; x < values.size(); ++x) {
    const auto y = static_cast<size_t>(
        std::lround((1 - scale.Height(values[x])) * static_cast<double>(canvas.height() - 1)));
    canvas.Set(x, y);
    for (size_t i = before.value_or(y); i != y; i += i < y ? 1 : -1) {
      if (i != *before) {
        canvas.Set(x, i);
      }
    }
    before = y;
  }
}

// "0          iteration 70,000", as wide as the axis.
std::string AxisEnds(const std::vector<Chart::Point>& points, size_t cells) {
  const std::string from = Count(static_cast<uint64_t>(points.front().x));
  std::string to = Count(static_cast<uint64_t>(points.back().x));
  if (const std::string named = absl::StrCat("iteration ", to);
      from.size() + named.size() < cells) {
    to = named;
  }
  return from.size() + to.size() < cells ? Padded(from, cells - to.size()) + to : from;
}

// Of all jobs, from the first iteration to the last.
std::vector<Chart::Point> PointsOf(absl::Span<const TrainingCurves> jobs,
                                   Curve TrainingCurves::*measure) {
  std::vector<Chart::Point> points;
  for (const TrainingCurves& job : jobs) {
    bool first = true;
    for (const CurveBucket& bucket : (job.*measure).buckets()) {
      if (bucket.count > 0) {
        const uint64_t end = first ? bucket.first_iteration : bucket.last_iteration;
        points.push_back({static_cast<double>(end), bucket.mean()});
        first = false;
      }
    }
  }
  std::stable_sort(points.begin(), points.end(),
                   [](const Chart::Point& a, const Chart::Point& b) { return a.x < b.x; });
  return points;
}

}  // namespace

std::vector<std::string> DrawChart(const Chart& chart, size_t columns, size_t rows) {
  std::vector<Chart::Point> points = chart.points;
  points.erase(std::remove_if(points.begin(), points.end(),
                              [](const Chart::Point& point) { return !std::isfinite(point.y); }),
               points.end());
  if (points.empty() || rows < kRowsAround + kLeastPlotRows) {
    return {};
  }
  const auto label = [&chart](double value) {
    return chart.percent ? absl::StrFormat("%.1f %%", 100 * value) : Loss(value);
  };
  // The labels' width depends on the means that are drawn, and these on the width that the labels
  // leave.
  size_t gutter = 0;
  std::vector<double> values;
  Scale scale;
  for (size_t needed = 2; needed > gutter;) {
    gutter = needed;
    if (columns < gutter + kLeastCells) {
      return {};
    }
    values = ColumnValues(points, (columns - gutter) * kDotsAcross);
    scale = ScaleOf(values);
    needed = 2 + std::max({label(scale.low).size(), label(scale.high).size(),
                           label(scale.Middle()).size()});
  }
  const size_t cells = columns - gutter;
  Canvas canvas(cells, rows - kRowsAround);
  DrawCurve(values, scale, canvas);

  std::vector<std::string> lines;
  const std::string indent(gutter, ' ');
  lines.push_back(
      absl::StrCat(indent, absl::string_view(chart.title).substr(0, cells - kLogarithmic.size()),
                   scale.logarithmic ? kLogarithmic : absl::string_view()));
  const size_t last = rows - kRowsAround - 1;
  for (size_t row = 0; row <= last; ++row) {
    std::string text;
    if (scale.low == scale.high) {
      text = row == (last + 1) / 2 ? label(scale.low) : "";
    } else if (row == 0) {
      text = label(scale.high);
    } else if (row == last) {
      text = label(scale.low);
    } else if (last >= 4 && last % 2 == 0 && row == last / 2) {
      text = label(scale.Middle());
    }
    lines.push_back(absl::StrCat(std::string(gutter - 2 - text.size(), ' '), text,
                                 text.empty() ? " │" : " ┤", canvas.Row(row)));
  }
  lines.push_back(absl::StrCat(std::string(gutter - 1, ' '), "└", Repeat("─", cells)));
  lines.push_back(indent + AxisEnds(points, cells));
  for (std::string& line : lines) {
    absl::StripTrailingAsciiWhitespace(&line);
  }
  return lines;
}

void TrainingCurves::Add(const v1::IterationRecord& record) {
  loss.Add(record.iteration(), record.meta_loss());
  if (record.has_meta_accuracy()) {
    accuracy.Add(record.iteration(), record.meta_accuracy());
  }
}

std::vector<std::string> DrawTrainingCharts(absl::Span<const TrainingCurves> jobs,
                                            TerminalSize size) {
  const std::string of =
      jobs.size() > 1 ? absl::StrCat(", mean of ", jobs.size(), " jobs") : std::string();
  const Chart losses{.title = absl::StrCat("meta-loss", of),
                     .points = PointsOf(jobs, &TrainingCurves::loss)};
  const Chart accuracies{.title = absl::StrCat("accuracy", of),
                         .percent = true,
                         .points = PointsOf(jobs, &TrainingCurves::accuracy)};
  // The last column stays free: some terminals wrap when it is written.
  const size_t columns = std::max<size_t>(size.columns, 1) - 1;
  const size_t room = size.rows - std::min<size_t>(size.rows, 2);
  const size_t rows = std::min(kChartRows, room);
  if (accuracies.points.empty()) {
    return DrawChart(losses, columns, rows);
  }
  if (columns < kBesideFrom) {
    std::vector<std::string> lines = DrawChart(losses, columns, std::min(kLowChartRows, room));
    if (room >= 2 * kLowChartRows) {
      for (std::string& line : DrawChart(accuracies, columns, kLowChartRows)) {
        lines.push_back(std::move(line));
      }
    }
    return lines;
  }
  const size_t half = (columns - kGap) / 2;
  std::vector<std::string> lines = DrawChart(losses, half, rows);
  const std::vector<std::string> right = DrawChart(accuracies, half, rows);
  for (size_t i = 0; i < std::min(lines.size(), right.size()); ++i) {
    lines[i] = Padded(lines[i], half + kGap) + right[i];
  }
  return lines;
}

}  // namespace innerloop::client
