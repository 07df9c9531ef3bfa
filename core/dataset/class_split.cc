#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "core/dataset/dataset.h"
#include "core/support/random.h"
#include "core/support/status_macros.h"

namespace innerloop {
namespace {

template <typename... Parts>
absl::Status Invalid(const Parts&... what) {
  return absl::InvalidArgumentError(absl::StrCat("tasks.episodes.split", what...));
}

// The first `train` classes of a random order, then `validation`, then `test`.
ClassLists Draw(uint32_t classes, uint64_t seed, uint64_t train, uint64_t validation,
                uint64_t test) {
  const std::vector<uint64_t> order =
      CounterRandom(seed, RandomPurpose::kClassSplit).Permutation(classes);
  ClassLists lists;
  auto next = order.begin();
  for (auto [list, count] :
       {std::pair{&lists.train, train}, {&lists.validation, validation}, {&lists.test, test}}) {
    list->assign(next, next + static_cast<std::ptrdiff_t>(count));
    std::sort(list->begin(), list->end());
    next += static_cast<std::ptrdiff_t>(count);
  }
  return lists;
}

absl::StatusOr<ClassLists> ByCounts(const Dataset& dataset, const v1::ClassSplit::Counts& counts) {
  const uint64_t classes = dataset.classes();
  const uint64_t given = uint64_t{counts.train()} + counts.validation() + counts.test();
  if (counts.train() == 0) {
    return Invalid(".counts.train is 0; at least one class is needed");
  }
  if (given > classes) {
    return Invalid(".counts asks for ", given, " classes; '", dataset.name(), "' has ", classes);
  }
  const uint64_t test = counts.test() > 0 ? counts.test() : classes - given;
  return Draw(dataset.classes(), counts.seed(), counts.train(), counts.validation(), test);
}

absl::StatusOr<ClassLists> ByFractions(const Dataset& dataset,
                                       const v1::ClassSplit::Fractions& fractions) {
  // Sums such as 0.64 + 0.16 + 0.2 may exceed 1 by their rounding.
  constexpr double kRounding = 1e-9;
  for (const double fraction : {fractions.train(), fractions.validation(), fractions.test()}) {
    if (!(fraction >= 0 && fraction <= 1)) {
      return Invalid(".fractions holds ", fraction, "; each is 0 to 1");
    }
  }
  const double sum = fractions.train() + fractions.validation() + fractions.test();
  if (sum > 1 + kRounding) {
    return Invalid(".fractions add up to ", sum, "; at most 1");
  }
  // Boundaries are rounded, not sizes, so that fractions of 1 in all use each class.
  const auto classes = dataset.classes();
  const auto boundary = [&](double fraction) {
    return std::min<uint64_t>(classes, static_cast<uint64_t>(std::llround(fraction * classes)));
  };
  const uint64_t train = boundary(fractions.train());
  const uint64_t validation = boundary(fractions.train() + fractions.validation());
  const uint64_t test = fractions.test() > 0 ? boundary(sum) : classes;
  if (train == 0) {
    return Invalid(".fractions.train is ", fractions.train(), ", which is none of the ", classes,
                   " classes of '", dataset.name(), "'");
  }
  return Draw(classes, fractions.seed(), train, validation - train, test - validation);
}

// Single-character edits between two names (Levenshtein), of which the first 64 characters count.
size_t EditDistance(absl::string_view a, absl::string_view b) {
  a = a.substr(0, 64);
  b = b.substr(0, 64);
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i + 1);
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, diagonal + 1, row[j] + 1});
    }
  }
  return row.back();
}

const std::string& Nearest(const std::vector<std::string>& names, absl::string_view to) {
  return *std::min_element(names.begin(), names.end(), [&](const auto& a, const auto& b) {
    return EditDistance(a, to) < EditDistance(b, to);
  });
}

// Finds classes by name, and keeps in which part each is already.
class NamedClasses {
 public:
  explicit NamedClasses(const Dataset& dataset) : dataset_(dataset), part_(dataset.classes(), "") {
    for (uint32_t c = 0; c < dataset.classes(); ++c) {
      by_name_.emplace(dataset.class_names()[c], c);
    }
  }

  template <typename Names>
  absl::StatusOr<std::vector<uint32_t>> Take(const Names& names, const char* part) {
    for (absl::string_view name : names) {
      bool found = false;
      if (absl::string_view prefix = name; absl::ConsumeSuffix(&prefix, "*")) {
        for (uint32_t c = 0; c < dataset_.classes(); ++c) {
          if (absl::StartsWith(dataset_.class_names()[c], prefix)) {
            found = true;
            INNERLOOP_RETURN_IF_ERROR(Claim(c, part));
          }
        }
      } else if (const auto known = by_name_.find(name); known != by_name_.end()) {
        found = true;
        INNERLOOP_RETURN_IF_ERROR(Claim(known->second, part));
      }
      if (!found) {
        return Invalid(".names.", part, ": no class of '", dataset_.name(), "' is called '", name,
                       "'; the nearest of its ", dataset_.classes(), " is '",
                       Nearest(dataset_.class_names(), name), "'");
      }
    }
    std::vector<uint32_t> list;
    for (uint32_t c = 0; c < dataset_.classes(); ++c) {
      if (part_[c] == part) {
        list.push_back(c);
      }
    }
    return list;
  }

 private:
  absl::Status Claim(uint32_t index, absl::string_view part) {
    if (!part_[index].empty() && part_[index] != part) {
      return Invalid(".names has the class '", dataset_.class_names()[index], "' in both ",
                     part_[index], " and ", part);
    }
    part_[index] = part;
    return absl::OkStatus();
  }

  const Dataset& dataset_;
  absl::flat_hash_map<absl::string_view, uint32_t> by_name_;
  std::vector<absl::string_view> part_;
};

absl::StatusOr<ClassLists> ByNames(const Dataset& dataset, const v1::ClassSplit::Names& names) {
  NamedClasses classes(dataset);
  ClassLists lists;
  INNERLOOP_ASSIGN_OR_RETURN(lists.train, classes.Take(names.train(), "train"));
  INNERLOOP_ASSIGN_OR_RETURN(lists.validation, classes.Take(names.validation(), "validation"));
  INNERLOOP_ASSIGN_OR_RETURN(lists.test, classes.Take(names.test(), "test"));
  return lists;
}

absl::StatusOr<ClassLists> Stored(const Dataset& dataset, const std::string& name) {
  const auto found = dataset.splits().find(name);
  if (found != dataset.splits().end()) {
    return found->second;
  }
  const std::string known = absl::StrJoin(
      dataset.splits(), ", ", [](std::string* out, const auto& s) { out->append(s.first); });
  return Invalid(".stored: '", dataset.name(), "' carries no split '", name, "'; it has ",
                 known.empty() ? "none" : known);
}

}  // namespace

absl::StatusOr<ClassLists> ResolveSplit(const Dataset& dataset, const v1::ClassSplit& split) {
  switch (split.by_case()) {
    case v1::ClassSplit::kCounts:
      return ByCounts(dataset, split.counts());
    case v1::ClassSplit::kFractions:
      return ByFractions(dataset, split.fractions());
    case v1::ClassSplit::kNames:
      return ByNames(dataset, split.names());
    case v1::ClassSplit::kFiles:
      return Invalid(".files is for the client, which sends the files' names as 'names'");
    case v1::ClassSplit::kStored:
      return Stored(dataset, split.stored());
    case v1::ClassSplit::BY_NOT_SET:
      break;
  }
  return Invalid(" is not given; it takes one of counts, fractions, names, files, stored");
}

}  // namespace innerloop
