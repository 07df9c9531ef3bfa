#include "core/dataset/preparation.h"

#include <cstdint>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace innerloop {
namespace {

// Of all runs together, which a file tells.
constexpr size_t kMostFeatures = 1'000'000;
constexpr char kRun[] = "..";

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

// A name that ends in a number, as "line12".
struct Numbered {
  absl::string_view prefix;
  uint32_t number = 0;
};

std::optional<Numbered> ParseNumbered(absl::string_view name) {
  size_t digits = name.size();
  while (digits > 0 && absl::ascii_isdigit(name[digits - 1])) {
    --digits;
  }
  Numbered numbered{.prefix = name.substr(0, digits)};
  const bool plain = digits < name.size() && (name[digits] != '0' || digits + 1 == name.size());
  return plain && absl::SimpleAtoi(name.substr(digits), &numbered.number)
             ? std::optional<Numbered>(numbered)
             : std::nullopt;
}

// Whether `next` goes on with a run that `name` is in. What marks runs cannot stand in their names.
bool Follows(absl::string_view name, absl::string_view next) {
  if (absl::StrContains(name, kRun)) {
    return false;
  }
  const std::optional<Numbered> first = ParseNumbered(name);
  const std::optional<Numbered> second = ParseNumbered(next);
  return first.has_value() && second.has_value() && first->prefix == second->prefix &&
         uint64_t{first->number} + 1 == second->number;
}

// The names of "FIRST..LAST"; nothing for what is none, or too long.
void AppendRun(absl::string_view run, std::vector<std::string>& names) {
  const std::pair<absl::string_view, absl::string_view> ends =
      absl::StrSplit(run, absl::MaxSplits(kRun, 1));
  const std::optional<Numbered> first = ParseNumbered(ends.first);
  const std::optional<Numbered> last = ParseNumbered(ends.second);
  if (!first.has_value() || !last.has_value() || first->prefix != last->prefix ||
      last->number < first->number) {
    return;
  }
  const uint64_t count = uint64_t{last->number} - first->number + 1;
  if (names.size() + count > kMostFeatures) {
    return;
  }
  for (uint64_t i = 0; i < count; ++i) {
    names.push_back(absl::StrCat(first->prefix, first->number + i));
  }
}

}  // namespace

std::vector<std::string> FeatureEntries(const std::vector<std::string>& names) {
  std::vector<std::string> entries;
  for (size_t i = 0; i < names.size();) {
    size_t last = i;
    while (last + 1 < names.size() && Follows(names[last], names[last + 1])) {
      ++last;
    }
    entries.push_back(last == i ? absl::StrCat("feature=", names[i])
                                : absl::StrCat("features=", names[i], "..", names[last]));
    i = last + 1;
  }
  return entries;
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
  for (absl::string_view entry : data_set.preparation()) {
    if (absl::ConsumePrefix(&entry, "feature=")) {
      options.features.emplace_back(entry);
    } else if (absl::ConsumePrefix(&entry, "features=")) {
      AppendRun(entry, options.features);
    }
  }
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
