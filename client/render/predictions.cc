#include "client/render/predictions.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "client/render/numbers.h"
#include "client/render/table.h"

namespace innerloop::client {
namespace {

size_t SizeOf(const AdaptationView& view) { return view.predictions.size(); }

float ValueOf(const AdaptationView& view, size_t query, size_t i) {
  return view.predictions.values(static_cast<int>(query * SizeOf(view) + i));
}

// Labels of a query, the likeliest first.
std::vector<size_t> Ranked(const AdaptationView& view, size_t query) {
  std::vector<size_t> labels(SizeOf(view));
  std::iota(labels.begin(), labels.end(), size_t{0});
  std::stable_sort(labels.begin(), labels.end(), [&](size_t a, size_t b) {
    return ValueOf(view, query, a) > ValueOf(view, query, b);
  });
  return labels;
}

struct Score {
  uint64_t known = 0;
  uint64_t right = 0;
};

Score ScoreOf(const AdaptationView& view) {
  Score score;
  for (size_t i = 0; i < view.names.size() && i < view.true_classes.size(); ++i) {
    if (!view.true_classes[i].empty()) {
      ++score.known;
      score.right += view.classes[Ranked(view, i)[0]] == view.true_classes[i] ? 1 : 0;
    }
  }
  return score;
}

std::optional<double> SquaredError(const AdaptationView& view) {
  if (view.true_targets.empty() || view.names.empty()) {
    return std::nullopt;
  }
  double sum = 0;
  for (size_t i = 0; i < view.true_targets.size(); ++i) {
    const double difference =
        double{view.predictions.values(static_cast<int>(i))} - double{view.true_targets[i]};
    sum += difference * difference;
  }
  return sum / static_cast<double>(view.true_targets.size());
}

std::string Number(float value) { return absl::StrFormat("%.6g", value); }

std::string TransductionName(v1::Transduction transduction) {
  switch (transduction) {
    case v1::TRANSDUCTION_ALL_QUERIES:
      return "yes";
    case v1::TRANSDUCTION_SINGLE_QUERY:
      return "single";
    default:
      return "no";
  }
}

std::string Heading(const AdaptationView& view) {
  std::string text = absl::StrCat(view.checkpoint, " adapted to ",
                                  Count(static_cast<uint64_t>(view.support_examples)),
                                  view.support_examples == 1 ? " example" : " examples");
  if (!view.classes.empty()) {
    absl::StrAppend(&text, " of ", view.classes.size(), " classes");
  }
  if (view.support_losses.size() > 1) {
    absl::StrAppend(&text, ", ", view.rule.inner_steps(), " steps: support loss ",
                    Loss(view.support_losses.front()), " -> ", Loss(view.support_losses.back()));
  }
  return absl::StrCat(text, "\n");
}

std::string ClassTable(const AdaptationView& view) {
  const bool known = ScoreOf(view).known > 0;
  std::vector<Table::Column> columns = {{"QUERY"},
                                        {"PREDICTED"},
                                        {"PROBABILITY", Table::Align::kRight},
                                        {"RUNNER-UP"},
                                        {"PROBABILITY", Table::Align::kRight}};
  if (known) {
    columns.push_back({"TRUE"});
  }
  Table table(columns);
  for (size_t i = 0; i < view.names.size(); ++i) {
    const std::vector<size_t> ranked = Ranked(view, i);
    std::vector<std::string> cells = {view.names[i], view.classes[ranked[0]],
                                      absl::StrCat(Percent(ValueOf(view, i, ranked[0])), " %"), "",
                                      ""};
    if (ranked.size() > 1) {
      cells[3] = view.classes[ranked[1]];
      cells[4] = absl::StrCat(Percent(ValueOf(view, i, ranked[1])), " %");
    }
    if (known) {
      cells.push_back(view.true_classes[i]);
    }
    table.Add(std::move(cells));
  }
  return table.Render();
}

std::string TargetTable(const AdaptationView& view) {
  std::vector<Table::Column> columns = {{"QUERY"}};
  const size_t size = SizeOf(view);
  for (size_t j = 0; j < size; ++j) {
    columns.push_back({view.targets[j], Table::Align::kRight});
  }
  for (size_t j = 0; j < size && !view.true_targets.empty(); ++j) {
    columns.push_back({absl::StrCat("TRUE ", view.targets[j]), Table::Align::kRight});
  }
  Table table(columns);
  for (size_t i = 0; i < view.names.size(); ++i) {
    std::vector<std::string> cells = {view.names[i]};
    for (size_t j = 0; j < size; ++j) {
      cells.push_back(Number(ValueOf(view, i, j)));
    }
    for (size_t j = 0; j < size && !view.true_targets.empty(); ++j) {
      cells.push_back(Number(view.true_targets[i * size + j]));
    }
    table.Add(std::move(cells));
  }
  return table.Render();
}

// As RFC 4180 has it.
std::string CsvLine(const std::vector<std::string>& cells) {
  return absl::StrCat(
      absl::StrJoin(
          cells, ",",
          [](std::string* out, const std::string& cell) {
            if (cell.find_first_of(",\"\r\n") == std::string::npos) {
              absl::StrAppend(out, cell);
            } else {
              absl::StrAppend(out, "\"", absl::StrReplaceAll(cell, {{"\"", "\"\""}}), "\"");
            }
          }),
      "\n");
}

Json PredictionJson(const AdaptationView& view, size_t i) {
  Json json = {{"query", view.names[i]}};
  if (view.classes.empty()) {
    for (size_t j = 0; j < SizeOf(view); ++j) {
      json["predicted"][view.targets[j]] = ValueOf(view, i, j);
      if (!view.true_targets.empty()) {
        json["true"][view.targets[j]] = view.true_targets[i * SizeOf(view) + j];
      }
    }
    return json;
  }
  const size_t best = Ranked(view, i)[0];
  json["predicted"] = view.classes[best];
  json["probability"] = ValueOf(view, i, best);
  for (size_t j = 0; j < SizeOf(view); ++j) {
    json["probabilities"][view.classes[j]] = ValueOf(view, i, j);
  }
  if (i < view.true_classes.size() && !view.true_classes[i].empty()) {
    json["true"] = view.true_classes[i];
  }
  return json;
}

}  // namespace

Json PredictionsJson(const AdaptationView& view) {
  Json json = {{"checkpoint", view.checkpoint},
               {"rule",
                {{"inner_steps", view.rule.inner_steps()},
                 {"transductive", TransductionName(view.rule.transduction())},
                 {"line_search", view.rule.line_search()}}},
               {"support_examples", view.support_examples},
               {"support_losses", view.support_losses}};
  if (!view.classes.empty()) {
    json["classes"] = view.classes;
  }
  if (!view.names.empty()) {
    json["predictions"] = Json::array();
    for (size_t i = 0; i < view.names.size(); ++i) {
      json["predictions"].push_back(PredictionJson(view, i));
    }
  }
  if (const Score score = ScoreOf(view); score.known > 0) {
    json["accuracy"] = static_cast<double>(score.right) / static_cast<double>(score.known);
  }
  if (const std::optional<double> error = SquaredError(view); error.has_value()) {
    json["mean_squared_error"] = *error;
  }
  if (!view.out.empty()) {
    json["file"] = view.out;
  }
  return json;
}

std::string PredictionsText(const AdaptationView& view) {
  std::string text = Heading(view);
  if (!view.names.empty()) {
    absl::StrAppend(&text, "\n", view.classes.empty() ? TargetTable(view) : ClassTable(view));
  }
  if (const Score score = ScoreOf(view); score.known > 0) {
    absl::StrAppend(&text, "\n", Count(score.right), " of ", Count(score.known), " right: ",
                    Percent(static_cast<double>(score.right) / static_cast<double>(score.known)),
                    " %\n");
  }
  if (const std::optional<double> error = SquaredError(view); error.has_value()) {
    absl::StrAppend(&text, "\nmean squared error ", Loss(*error), "\n");
  }
  if (!view.out.empty()) {
    absl::StrAppend(&text, view.names.empty() ? "" : "\n", "adapted model: ", view.out, "\n");
  }
  return text;
}

std::string PredictionsCsv(const AdaptationView& view) {
  std::vector<std::string> header = {"query"};
  const bool classes = !view.classes.empty();
  if (classes) {
    header.insert(header.end(), {"true", "predicted", "probability"});
  }
  for (const std::string& name : classes ? view.classes : view.targets) {
    header.push_back(name);
  }
  for (size_t j = 0; !view.true_targets.empty() && j < view.targets.size(); ++j) {
    header.push_back(absl::StrCat("true ", view.targets[j]));
  }
  std::string text = CsvLine(header);
  for (size_t i = 0; i < view.names.size(); ++i) {
    std::vector<std::string> cells = {view.names[i]};
    if (classes) {
      const size_t best = Ranked(view, i)[0];
      cells.insert(cells.end(), {i < view.true_classes.size() ? view.true_classes[i] : "",
                                 view.classes[best], Number(ValueOf(view, i, best))});
    }
    for (size_t j = 0; j < SizeOf(view); ++j) {
      cells.push_back(Number(ValueOf(view, i, j)));
    }
    for (size_t j = 0; !view.true_targets.empty() && j < SizeOf(view); ++j) {
      cells.push_back(Number(view.true_targets[i * SizeOf(view) + j]));
    }
    absl::StrAppend(&text, CsvLine(cells));
  }
  return text;
}

}  // namespace innerloop::client
