// Limits on what requests carry, and the answer in gRPC's form. Header-only.
#pragma once

#include <cstdint>
#include <string>

#include <grpcpp/grpcpp.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/rpc/status.h"

namespace innerloop::server {

inline constexpr size_t kMaxIdLength = 64;
inline constexpr size_t kMaxNameLength = 100;
// More iterations, or entries of a log, there are not; the state store would take what is far above
// it for a negative number.
inline constexpr uint64_t kMaxNumber = 1'000'000'000'000;

inline absl::Status CheckLength(absl::string_view field, absl::string_view value, size_t most) {
  if (value.size() > most) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, " has ", value.size(), " characters; at most ", most, " are taken"));
  }
  return absl::OkStatus();
}

inline absl::Status CheckRequired(absl::string_view field, absl::string_view value, size_t most) {
  if (value.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(field, " is missing"));
  }
  return CheckLength(field, value, most);
}

inline absl::Status CheckNumber(absl::string_view field, uint64_t value) {
  if (value > kMaxNumber) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, " is ", value, "; at most ", kMaxNumber, " can be"));
  }
  return absl::OkStatus();
}

template <typename M>
grpc::Status Answer(absl::StatusOr<M> result, M* response) {
  if (!result.ok()) {
    return ToGrpc(result.status());
  }
  *response = *std::move(result);
  return grpc::Status::OK;
}

}  // namespace innerloop::server
