#include "core/dataset/preparation.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace innerloop {
namespace {

std::vector<std::string> ValuesOf(const v1::DataSetDescription& data_set, absl::string_view key) {
  std::vector<std::string> values;
  for (absl::string_view entry : data_set.preparation()) {
    if (absl::ConsumePrefix(&entry, absl::StrCat(key, "="))) {
      values.emplace_back(entry);
    }
  }
  return values;
}

std::string ValueOf(const v1::DataSetDescription& data_set, absl::string_view key) {
  const std::vector<std::string> values = ValuesOf(data_set, key);
  return values.empty() ? "" : values.front();
}

}  // namespace

std::vector<std::string> PreparationEntries(absl::string_view key,
                                            const std::vector<std::string>& values) {
  std::vector<std::string> entries;
  entries.reserve(values.size());
  for (const std::string& value : values) {
    entries.push_back(absl::StrCat(key, "=", value));
  }
  return entries;
}

std::vector<std::string> RunsOf(const std::vector<size_t>& columns,
                                const std::vector<std::string>& header) {
  std::vector<std::string> runs;
  for (size_t i = 0; i < columns.size();) {
    size_t last = i;
    while (last + 1 < columns.size() && columns[last + 1] == columns[last] + 1) {
      ++last;
    }
    runs.push_back(last == i ? header[columns[i]]
                             : absl::StrCat(header[columns[i]], "-", header[columns[last]]));
    i = last + 1;
  }
  return runs;
}

absl::StatusOr<ImageImportOptions> ImageOptionsOf(const v1::DataSetDescription& data_set) {
  const auto& shape = data_set.example_shape();
  if (shape.size() != 3 || shape[0] != shape[1] || (shape[2] != 1 && shape[2] != 3)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the examples of the data set '", data_set.name(),
                     "' are no square images of one or three channels, as which alone new ones can "
                     "be prepared"));
  }
  ImageImportOptions options;
  options.size = static_cast<int>(shape[0]);
  options.grayscale = shape[2] == 1;
  options.invert = ValueOf(data_set, "invert") == "true";
  return options;
}

CsvImportOptions CsvOptionsOf(const v1::DataSetDescription& data_set) {
  CsvImportOptions options;
  options.features = ValuesOf(data_set, "feature");
  options.regression = data_set.target_size() > 0;
  options.group = ValueOf(data_set, "group");
  const std::string target = ValueOf(data_set, "target");
  // Classes stand in one column, whatever its name.
  if (options.regression) {
    options.targets = absl::StrSplit(target, ',');
  } else {
    options.targets = {target};
  }
  return options;
}

std::vector<std::string> ClassNamesOf(const v1::DataSetDescription& data_set) {
  return ValuesOf(data_set, "class");
}

}  // namespace innerloop
