#include "client/commands/seeds.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "client/render/table.h"
#include "core/support/status_macros.h"

namespace innerloop::client {
namespace {

constexpr size_t kMostSeeds = 100;
constexpr size_t kMostNameCharacters = 100;

absl::Status Unreadable(const std::string& flag) {
  return absl::InvalidArgumentError(absl::StrCat(
      "--seeds=", flag, " is no list of seeds; write ranges and single seeds, e.g. 1..5 or 1,4,7"));
}

// First and last of "3" or "1..5".
absl::StatusOr<std::pair<uint64_t, uint64_t>> ParseRange(absl::string_view part,
                                                         const std::string& flag) {
  const std::pair<absl::string_view, absl::string_view> ends =
      absl::StrSplit(part, absl::MaxSplits("..", 1));
  std::pair<uint64_t, uint64_t> range;
  if (!absl::SimpleAtoi(ends.first, &range.first)) {
    return Unreadable(flag);
  }
  range.second = range.first;
  if (part.size() > ends.first.size() && !absl::SimpleAtoi(ends.second, &range.second)) {
    return Unreadable(flag);
  }
  if (range.second < range.first) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--seeds=", flag, ": ", part, " runs backwards; write ", range.second, "..", range.first));
  }
  return range;
}

}  // namespace

absl::StatusOr<std::vector<uint64_t>> ParseSeeds(const std::string& flag) {
  std::vector<uint64_t> seeds;
  for (const absl::string_view part : absl::StrSplit(flag, ',')) {
    INNERLOOP_ASSIGN_OR_RETURN(const auto range, ParseRange(part, flag));
    if (range.second - range.first >= kMostSeeds - seeds.size()) {
      return absl::InvalidArgumentError(
          absl::StrCat("--seeds=", flag, " names more than ", kMostSeeds, " seeds"));
    }
    for (uint64_t i = 0; i <= range.second - range.first; ++i) {
      const uint64_t seed = range.first + i;
      if (std::find(seeds.begin(), seeds.end(), seed) != seeds.end()) {
        return absl::InvalidArgumentError(
            absl::StrCat("--seeds=", flag, " names the seed ", seed, " twice"));
      }
      seeds.push_back(seed);
    }
  }
  return seeds;
}

std::string NameWithSeed(const std::string& name, uint64_t seed) {
  const std::string ending = absl::StrCat("-seed-", seed);
  return absl::StrCat(CutTo(name, kMostNameCharacters - ending.size()), ending);
}

}  // namespace innerloop::client
