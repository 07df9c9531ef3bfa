#include "core/job/empty_split.h"

#include <string>

#include "absl/strings/str_cat.h"

namespace innerloop {
namespace {

absl::string_view PartField(v1::Split part) {
  switch (part) {
    case v1::SPLIT_TRAIN:
      return "train";
    case v1::SPLIT_VALIDATION:
      return "validation";
    default:
      return "test";
  }
}

double FractionOf(const v1::ClassSplit::Fractions& fractions, v1::Split part) {
  switch (part) {
    case v1::SPLIT_TRAIN:
      return fractions.train();
    case v1::SPLIT_VALIDATION:
      return fractions.validation();
    default:
      return fractions.test();
  }
}

// What of the split leaves the part empty.
std::string Reason(const v1::ClassSplit& split, v1::Split part) {
  const absl::string_view field = PartField(part);
  // What counts and fractions of the test part leave out is the rest.
  const bool rest = part == v1::SPLIT_TEST;
  switch (split.by_case()) {
    case v1::ClassSplit::kCounts:
      return rest ? ".counts leaves nothing for it"
                  : absl::StrCat(".counts.", field, " is 0; it must be at least 1");
    case v1::ClassSplit::kFractions: {
      const double fraction = FractionOf(split.fractions(), part);
      return rest && fraction == 0
                 ? ".fractions leave nothing for it"
                 : absl::StrCat(".fractions.", field, " is ", fraction, "; it must be larger");
    }
    case v1::ClassSplit::kStored:
      return absl::StrCat(".stored is '", split.stored(), "', which has none for it");
    default:
      return absl::StrCat(".names.", field, " is empty; name some");
  }
}

}  // namespace

absl::Status EmptySplit(const DataUse& use, v1::Split part, absl::string_view asks) {
  return absl::InvalidArgumentError(
      absl::StrCat(asks, " draws from the ", SplitName(part), " split of '", *use.dataset,
                   "', which is empty: ", use.field, ".split", Reason(*use.split, part)));
}

}  // namespace innerloop
