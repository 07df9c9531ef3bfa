#include "core/dataset/csv_hints.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "core/dataset/csv_columns.h"

namespace innerloop {
namespace {

// Fewer runs of equal values come about in ordinary features.
constexpr size_t kFewestGroups = 5;
// More whole numbers than this are quantities rather than names of classes.
constexpr size_t kMostNumberedClasses = 50;

bool AreQuantities(const std::vector<std::string>& class_names) {
  bool whole = true;
  for (const std::string& name : class_names) {
    double number = 0;
    if (!ParseDecimal(name, number)) {
      return false;
    }
    whole = whole && std::trunc(number) == number;
  }
  return class_names.size() > 2 && (!whole || class_names.size() > kMostNumberedClasses);
}

}  // namespace

void RunWatch::Add(float value) {
  ++rows_;
  if (ruled_out_ || (rows_ > 1 && value == last_)) {
    return;
  }
  last_ = value;
  ruled_out_ = std::trunc(value) != value || !seen_.insert(value).second;
  if (ruled_out_) {
    seen_.clear();
  }
}

bool RunWatch::LooksLikeGroups() const {
  return !ruled_out_ && seen_.size() >= kFewestGroups && rows_ >= 2 * seen_.size();
}

std::vector<std::string> HintsAbout(const CsvImportOptions& options,
                                    const std::vector<std::string>& class_names,
                                    const std::vector<std::string>& features,
                                    const std::vector<RunWatch>& watched) {
  std::vector<std::string> hints;
  const std::string& target = options.targets.front();
  if (class_names.size() == 1) {
    hints.push_back(absl::StrCat("column '", target, "' is '", class_names[0],
                                 "' in every row; there is nothing to tell apart"));
  }
  if (AreQuantities(class_names)) {
    hints.push_back(absl::StrCat(
        "column '", target, "' has ", class_names.size(),
        " different numbers, each taken as a class; if they are quantities, give --regression",
        options.group.empty() ? " and --group COLUMN" : ""));
  }
  for (size_t i = 0; i < watched.size(); ++i) {
    if (watched[i].LooksLikeGroups()) {
      hints.push_back(absl::StrCat("column '", features[i], "' has ", watched[i].values(),
                                   " whole numbers, each in rows that stand together, and is "
                                   "taken as a feature; if it tells groups, give --group ",
                                   features[i]));
    }
  }
  return hints;
}

}  // namespace innerloop
