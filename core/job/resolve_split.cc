// What tasks from data sets have in common: the data set's name and how it is divided.
#include "core/job/checks.h"
#include "core/job/resolve_parts.h"
#include "core/support/checksum.h"
#include "core/support/status_macros.h"

namespace innerloop::job {
namespace {

absl::Status CheckFractions(const std::string& field, absl::string_view many,
                            const v1::ClassSplit::Fractions& parts) {
  INNERLOOP_RETURN_IF_ERROR(InRange(field + ".train", parts.train(), 0.0, 1.0));
  INNERLOOP_RETURN_IF_ERROR(InRange(field + ".validation", parts.validation(), 0.0, 1.0));
  INNERLOOP_RETURN_IF_ERROR(InRange(field + ".test", parts.test(), 0.0, 1.0));
  if (parts.train() == 0) {
    return absl::InvalidArgumentError(absl::StrCat(field, ".train is 0; training needs ", many));
  }
  if (const double sum = parts.train() + parts.validation() + parts.test(); sum > 1 + 1e-9) {
    return absl::InvalidArgumentError(absl::StrCat(field, " add up to ", sum, "; at most 1"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckDataSetFields(absl::string_view field, const std::string& dataset,
                                const std::string& sha256) {
  if (dataset.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(field, ".dataset is missing; name a data set"));
  }
  if (!sha256.empty() && !IsSha256Hex(sha256)) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, ".dataset_sha256 is no SHA-256; it has 64 lower-case hex digits"));
  }
  return absl::OkStatus();
}

absl::Status CheckSplit(absl::string_view field, absl::string_view many,
                        const v1::ClassSplit& split) {
  const auto invalid = [field](const auto&... what) {
    return absl::InvalidArgumentError(absl::StrCat(field, what...));
  };
  switch (split.by_case()) {
    case v1::ClassSplit::kCounts:
      return split.counts().train() > 0 ? absl::OkStatus()
                                        : invalid(".counts.train is 0; training needs ", many);
    case v1::ClassSplit::kFractions:
      return CheckFractions(absl::StrCat(field, ".fractions"), many, split.fractions());
    case v1::ClassSplit::kNames:
      return split.names().train().empty() ? invalid(".names.train is empty; training needs ", many)
                                           : absl::OkStatus();
    case v1::ClassSplit::kFiles:
      return invalid(
          ".files names files of the client's machine, which the client reads; send split.names");
    case v1::ClassSplit::kStored:
      return split.stored().empty() ? invalid(".stored is empty; name a split") : absl::OkStatus();
    case v1::ClassSplit::BY_NOT_SET:
      break;
  }
  return Missing(field, "counts, fractions, names, files or stored");
}

absl::Status CheckSplitCounts(absl::string_view field, absl::string_view many,
                              const v1::ClassSplit& split, const std::string& dataset,
                              uint64_t available) {
  const v1::ClassSplit::Counts& counts = split.counts();
  const uint64_t wanted = uint64_t{counts.train()} + counts.validation() + counts.test();
  if (wanted > available) {
    return absl::InvalidArgumentError(absl::StrCat(field, ".counts adds up to ", wanted, " ", many,
                                                   "; '", dataset, "' has ", available));
  }
  return absl::OkStatus();
}

}  // namespace innerloop::job
