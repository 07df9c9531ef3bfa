#include <algorithm>
#include <numeric>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/dataset/csv_columns.h"
#include "core/dataset/csv_hints.h"
#include "core/dataset/csv_reader.h"
#include "core/dataset/import.h"
#include "core/dataset/preparation.h"
#include "core/support/counted.h"
#include "core/support/status_macros.h"

namespace innerloop {
namespace {

constexpr int64_t kProgressEvery = 10'000;
// Classes whose names the preparation tells.
constexpr size_t kMostClassEntries = 1000;

// Different texts, numbered in the order in which they come.
class Numbering {
 public:
  int64_t Of(const std::string& text) {
    const auto [place, fresh] = numbers_.emplace(text, static_cast<int64_t>(numbers_.size()));
    bytes_ += fresh ? BytesOfText(text) + sizeof(place->second) : 0;
    return place->second;
  }
  // That the texts and their numbers take.
  uint64_t bytes() const { return bytes_; }
  // The texts, sorted; `renumbered` maps numbers to places among them.
  std::vector<std::string> Sorted(std::vector<int64_t>& renumbered) const {
    std::vector<std::string> texts;
    texts.reserve(numbers_.size());
    for (const auto& [text, number] : numbers_) {
      texts.push_back(text);
    }
    std::sort(texts.begin(), texts.end());
    renumbered.resize(texts.size());
    for (size_t place = 0; place < texts.size(); ++place) {
      renumbered[static_cast<size_t>(numbers_.at(texts[place]))] = static_cast<int64_t>(place);
    }
    return texts;
  }

 private:
  absl::flat_hash_map<std::string, int64_t> numbers_;
  uint64_t bytes_ = 0;
};

// Rows as they come.
struct Rows {
  // Of the features, where rows have no groups.
  std::vector<RunWatch> watched;
  std::vector<float> features;
  std::vector<float> targets;
  std::vector<int64_t> labels;
  std::vector<int64_t> groups;
  Numbering classes;
  Numbering group_names;
  int64_t count = 0;
  int64_t skipped = 0;

  uint64_t bytes() const {
    return (features.size() + targets.size()) * sizeof(float) +
           (labels.size() + groups.size()) * sizeof(int64_t) + classes.bytes() +
           group_names.bytes();
  }
};

// The first of the columns whose cell is empty, or npos.
size_t FirstMissing(const std::vector<std::string>& cells, const CsvColumns& columns) {
  constexpr size_t kNone = std::string::npos;
  const auto missing = [&](size_t column) {
    return absl::StripAsciiWhitespace(cells[column]).empty();
  };
  for (const std::vector<size_t>* part : {&columns.features, &columns.targets}) {
    const auto found = std::find_if(part->begin(), part->end(), missing);
    if (found != part->end()) {
      return *found;
    }
  }
  return columns.group.has_value() && missing(*columns.group) ? *columns.group : kNone;
}

absl::Status AddRow(const std::vector<std::string>& cells, const std::vector<std::string>& header,
                    const CsvColumns& columns, const CsvImportOptions& options, Rows& rows) {
  if (cells.size() != header.size()) {
    return absl::InvalidArgumentError(absl::StrCat("the row has ", Counted(cells.size(), "cell"),
                                                   "; the first line has ", header.size()));
  }
  if (const size_t missing = FirstMissing(cells, columns); missing != std::string::npos) {
    if (options.skip_missing) {
      ++rows.skipped;
      return absl::OkStatus();
    }
    return absl::InvalidArgumentError(absl::StrCat("column '", header[missing],
                                                   "' is empty; --skip-missing leaves such rows "
                                                   "out"));
  }
  for (size_t i = 0; i < columns.features.size(); ++i) {
    const size_t column = columns.features[i];
    INNERLOOP_ASSIGN_OR_RETURN(const float value, NumberOf(cells[column], header[column]));
    rows.features.push_back(value);
    if (!rows.watched.empty()) {
      rows.watched[i].Add(value);
    }
  }
  for (const size_t column : columns.targets) {
    if (options.regression) {
      INNERLOOP_ASSIGN_OR_RETURN(const float value, NumberOf(cells[column], header[column]));
      rows.targets.push_back(value);
    } else {
      rows.labels.push_back(rows.classes.Of(cells[column]));
    }
  }
  if (columns.group.has_value()) {
    rows.groups.push_back(rows.group_names.Of(cells[*columns.group]));
  }
  ++rows.count;
  return CheckBytes(rows.bytes(), options.max_bytes);
}

absl::Status CheckOptions(const CsvImportOptions& options) {
  if (options.targets.empty()) {
    return absl::InvalidArgumentError("no target is given; name its column");
  }
  if (!options.regression && options.targets.size() > 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(options.targets.size(),
                     " targets are given; classes stand in one column, several columns of numbers "
                     "want --regression"));
  }
  if (options.regression && options.group.empty()) {
    return absl::InvalidArgumentError(
        "regression needs --group: without groups tasks are drawn by class");
  }
  return absl::OkStatus();
}

// `width` values of each row, rows in another order.
template <typename T>
std::vector<T> Ordered(const std::vector<T>& values, const std::vector<size_t>& order,
                       size_t width) {
  std::vector<T> ordered;
  ordered.reserve(values.size());
  for (const size_t row : order) {
    const auto begin = values.begin() + static_cast<std::ptrdiff_t>(row * width);
    ordered.insert(ordered.end(), begin, begin + static_cast<std::ptrdiff_t>(width));
  }
  return ordered;
}

void Renumber(const std::vector<int64_t>& renumbered, std::vector<int64_t>& numbers) {
  for (int64_t& number : numbers) {
    number = renumbered[static_cast<size_t>(number)];
  }
}

std::vector<std::string> NamesOf(const std::vector<size_t>& columns,
                                 const std::vector<std::string>& header) {
  std::vector<std::string> names;
  names.reserve(columns.size());
  for (const size_t column : columns) {
    names.push_back(header[column]);
  }
  return names;
}

DatasetContent ContentOf(Rows rows, const CsvColumns& columns, const CsvImportOptions& options) {
  DatasetContent content;
  content.name = options.name;
  content.example_shape = {static_cast<int64_t>(columns.features.size())};
  content.target_size = options.regression ? static_cast<int64_t>(columns.targets.size()) : 0;
  std::vector<int64_t> renumbered;
  content.class_names = rows.classes.Sorted(renumbered);
  Renumber(renumbered, rows.labels);
  content.group_names = rows.group_names.Sorted(renumbered);
  Renumber(renumbered, rows.groups);

  const std::vector<int64_t>& sort_by = columns.group.has_value() ? rows.groups : rows.labels;
  std::vector<size_t> order(static_cast<size_t>(rows.count));
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return sort_by[a] < sort_by[b]; });
  content.features = Ordered(rows.features, order, columns.features.size());
  content.targets = Ordered(rows.targets, order, static_cast<size_t>(content.target_size));
  content.labels = rows.labels.empty() ? rows.labels : Ordered(rows.labels, order, 1);
  content.groups = rows.groups.empty() ? rows.groups : Ordered(rows.groups, order, 1);
  return content;
}

}  // namespace

absl::StatusOr<DatasetContent> ImportCsv(const CsvImportOptions& options,
                                         const ImportProgress& progress,
                                         std::vector<std::string>* hints) {
  INNERLOOP_RETURN_IF_ERROR(CheckOptions(options));
  INNERLOOP_ASSIGN_OR_RETURN(CsvReader reader, CsvReader::Open(options.file));
  std::vector<std::string> header;
  INNERLOOP_ASSIGN_OR_RETURN(const bool any, reader.Next(header));
  if (!any) {
    return reader.ErrorAt(1, "the file is empty; its first line must name the columns");
  }
  const absl::StatusOr<CsvColumns> columns = ChooseColumns(options, header);
  if (!columns.ok()) {
    return reader.ErrorAt(reader.line(), columns.status().message());
  }
  Rows rows;
  rows.watched.resize(options.group.empty() ? columns->features.size() : 0);
  std::vector<std::string> cells;
  for (;;) {
    INNERLOOP_ASSIGN_OR_RETURN(const bool more, reader.Next(cells));
    if (!more) {
      break;
    }
    if (const absl::Status added = AddRow(cells, header, *columns, options, rows); !added.ok()) {
      return reader.ErrorAt(reader.line(), added.message());
    }
    if (progress != nullptr && rows.count % kProgressEvery == 0) {
      progress(rows.count);
    }
  }
  if (rows.count == 0) {
    return reader.ErrorAt(1, absl::StrCat("no rows follow the first line",
                                          rows.skipped > 0 ? " but such with empty cells" : ""));
  }
  const std::vector<std::string> targets = NamesOf(columns->targets, header);
  const int64_t skipped = rows.skipped;
  const std::vector<RunWatch> watched = std::move(rows.watched);
  DatasetContent content = ContentOf(std::move(rows), *columns, options);
  if (hints != nullptr) {
    *hints = HintsAbout(options, content.class_names, NamesOf(columns->features, header), watched);
  }
  content.preparation = {"format=csv", absl::StrCat("target=", absl::StrJoin(targets, ","))};
  if (!options.group.empty()) {
    content.preparation.push_back(absl::StrCat("group=", options.group));
  }
  for (std::string& entry : FeatureEntries(NamesOf(columns->features, header))) {
    content.preparation.push_back(std::move(entry));
  }
  if (!options.group.empty() && content.class_names.size() <= kMostClassEntries) {
    for (const std::string& name : content.class_names) {
      content.preparation.push_back(absl::StrCat("class=", name));
    }
  }
  if (skipped > 0) {
    content.preparation.push_back(absl::StrCat("skipped_rows=", skipped));
  }
  return content;
}

}  // namespace innerloop
