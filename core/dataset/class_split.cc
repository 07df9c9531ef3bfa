#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "core/dataset/dataset.h"
#include "core/support/nearest_name.h"
#include "core/support/random.h"
#include "core/support/status_macros.h"

namespace innerloop {
namespace {

// What a split divides: a data set's classes, or the groups of grouped data.
struct Units {
  explicit Units(const Dataset& dataset)
      : names(dataset.grouped() ? dataset.group_names() : dataset.class_names()),
        field(dataset.grouped() ? "tasks.grouped.split" : "tasks.episodes.split"),
        one(dataset.grouped() ? "group" : "class"),
        many(dataset.grouped() ? "groups" : "classes"),
        dataset_name(dataset.name()) {}
  uint32_t count() const { return static_cast<uint32_t>(names.size()); }

  template <typename... Parts>
  absl::Status Invalid(const Parts&... what) const {
    return absl::InvalidArgumentError(absl::StrCat(field, what...));
  }

  const std::vector<std::string>& names;
  const absl::string_view field;
  const absl::string_view one;
  const absl::string_view many;
  const std::string& dataset_name;
};

// The first `train` of a random order, then `validation`, then `test`.
ClassLists Draw(uint32_t count_of_all, uint64_t seed, uint64_t train, uint64_t validation,
                uint64_t test) {
  const std::vector<uint64_t> order =
      CounterRandom(seed, RandomPurpose::kClassSplit).Permutation(count_of_all);
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

absl::StatusOr<ClassLists> ByCounts(const Units& units, const v1::ClassSplit::Counts& counts) {
  const uint64_t all = units.count();
  const uint64_t given = uint64_t{counts.train()} + counts.validation() + counts.test();
  if (counts.train() == 0) {
    return units.Invalid(".counts.train is 0; at least one ", units.one, " is needed");
  }
  if (given > all) {
    return units.Invalid(".counts asks for ", given, " ", units.many, "; '", units.dataset_name,
                         "' has ", all);
  }
  const uint64_t test = counts.test() > 0 ? counts.test() : all - given;
  return Draw(units.count(), counts.seed(), counts.train(), counts.validation(), test);
}

absl::StatusOr<ClassLists> ByFractions(const Units& units,
                                       const v1::ClassSplit::Fractions& fractions) {
  // Sums such as 0.64 + 0.16 + 0.2 may exceed 1 by their rounding.
  constexpr double kRounding = 1e-9;
  for (const double fraction : {fractions.train(), fractions.validation(), fractions.test()}) {
    if (!(fraction >= 0 && fraction <= 1)) {
      return units.Invalid(".fractions holds ", fraction, "; each is 0 to 1");
    }
  }
  const double sum = fractions.train() + fractions.validation() + fractions.test();
  if (sum > 1 + kRounding) {
    return units.Invalid(".fractions add up to ", sum, "; at most 1");
  }
  // Boundaries are rounded, not sizes, so that fractions of 1 in all use each class.
  const uint32_t all = units.count();
  const auto boundary = [&](double fraction) {
    return std::min<uint64_t>(all, static_cast<uint64_t>(std::llround(fraction * all)));
  };
  const uint64_t train = boundary(fractions.train());
  const uint64_t validation = boundary(fractions.train() + fractions.validation());
  const uint64_t test = fractions.test() > 0 ? boundary(sum) : all;
  if (train == 0) {
    return units.Invalid(".fractions.train is ", fractions.train(), ", which is none of the ", all,
                         " ", units.many, " of '", units.dataset_name, "'");
  }
  return Draw(all, fractions.seed(), train, validation - train, test - validation);
}

// Finds classes or groups by name, and keeps in which part each is already.
class NamedUnits {
 public:
  explicit NamedUnits(const Units& units) : units_(units), part_(units.count(), "") {
    for (uint32_t i = 0; i < units.count(); ++i) {
      by_name_.emplace(units.names[i], i);
    }
  }

  template <typename Names>
  absl::StatusOr<std::vector<uint32_t>> Take(const Names& names, const char* part) {
    for (absl::string_view name : names) {
      bool found = false;
      if (absl::string_view prefix = name; absl::ConsumeSuffix(&prefix, "*")) {
        for (uint32_t i = 0; i < units_.count(); ++i) {
          if (absl::StartsWith(units_.names[i], prefix)) {
            found = true;
            INNERLOOP_RETURN_IF_ERROR(Claim(i, part));
          }
        }
      } else if (const auto known = by_name_.find(name); known != by_name_.end()) {
        found = true;
        INNERLOOP_RETURN_IF_ERROR(Claim(known->second, part));
      }
      if (!found) {
        return units_.Invalid(".names.", part, ": no ", units_.one, " of '", units_.dataset_name,
                              "' is called '", name, "'; ", KnownNames(units_.names, name));
      }
    }
    std::vector<uint32_t> list;
    for (uint32_t i = 0; i < units_.count(); ++i) {
      if (part_[i] == part) {
        list.push_back(i);
      }
    }
    return list;
  }

 private:
  absl::Status Claim(uint32_t index, absl::string_view part) {
    if (!part_[index].empty() && part_[index] != part) {
      return units_.Invalid(".names has the ", units_.one, " '", units_.names[index], "' in both ",
                            part_[index], " and ", part);
    }
    part_[index] = part;
    return absl::OkStatus();
  }

  const Units& units_;
  absl::flat_hash_map<absl::string_view, uint32_t> by_name_;
  std::vector<absl::string_view> part_;
};

absl::StatusOr<ClassLists> ByNames(const Units& units, const v1::ClassSplit::Names& names) {
  NamedUnits named(units);
  ClassLists lists;
  INNERLOOP_ASSIGN_OR_RETURN(lists.train, named.Take(names.train(), "train"));
  INNERLOOP_ASSIGN_OR_RETURN(lists.validation, named.Take(names.validation(), "validation"));
  INNERLOOP_ASSIGN_OR_RETURN(lists.test, named.Take(names.test(), "test"));
  return lists;
}

absl::StatusOr<ClassLists> Stored(const Dataset& dataset, const Units& units,
                                  const std::string& name) {
  const auto found = dataset.splits().find(name);
  if (found != dataset.splits().end()) {
    return found->second;
  }
  const std::string known = absl::StrJoin(
      dataset.splits(), ", ", [](std::string* out, const auto& s) { out->append(s.first); });
  return units.Invalid(".stored: '", dataset.name(), "' carries no split '", name, "'; it has ",
                       known.empty() ? "none" : known);
}

}  // namespace

absl::StatusOr<ClassLists> ResolveSplit(const Dataset& dataset, const v1::ClassSplit& split) {
  const Units units(dataset);
  switch (split.by_case()) {
    case v1::ClassSplit::kCounts:
      return ByCounts(units, split.counts());
    case v1::ClassSplit::kFractions:
      return ByFractions(units, split.fractions());
    case v1::ClassSplit::kNames:
      return ByNames(units, split.names());
    case v1::ClassSplit::kFiles:
      return units.Invalid(".files is for the client, which sends the files' names as 'names'");
    case v1::ClassSplit::kStored:
      return Stored(dataset, units, split.stored());
    case v1::ClassSplit::BY_NOT_SET:
      break;
  }
  return units.Invalid(" is not given; it takes one of counts, fractions, names, files, stored");
}

}  // namespace innerloop
