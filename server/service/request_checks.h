// Limits on what requests carry, and the answer in gRPC's form. Header-only.
#pragma once

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

template <typename M>
grpc::Status Answer(absl::StatusOr<M> result, M* response) {
  if (!result.ok()) {
    return ToGrpc(result.status());
  }
  *response = *std::move(result);
  return grpc::Status::OK;
}

}  // namespace innerloop::server
