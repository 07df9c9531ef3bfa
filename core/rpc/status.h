// Conversion between Abseil's and gRPC's statuses; both have the same codes.
#pragma once

#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace innerloop {

grpc::Status ToGrpc(const absl::Status& status);
// Whether the other side said so (by ToGrpc), rather than gRPC of a call that did not reach it.
bool IsAnswer(const grpc::Status& status);
absl::Status FromGrpc(const grpc::Status& status);

}  // namespace innerloop
