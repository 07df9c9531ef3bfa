// Conversion between Abseil's and gRPC's statuses; both have the same codes.
#pragma once

#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace innerloop {

grpc::Status ToGrpc(const absl::Status& status);
absl::Status FromGrpc(const grpc::Status& status);

}  // namespace innerloop
