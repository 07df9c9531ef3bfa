// The Access service: bearer tokens.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/api/connection.h"
#include "innerloop/v1/access.grpc.pb.h"

namespace innerloop::client {

// Makes and revokes tokens on one coordinator, with statuses and deadlines as Connection has them.
// Thread-safe.
class AccessClient {
 public:
  // `cancellation` outlives the client.
  AccessClient(ClientOptions options, Cancellation& cancellation)
      : connection_(std::move(options), cancellation),
        stub_(v1::Access::NewStub(connection_.channel())) {}

  // A lifetime of zero is for ever.
  absl::StatusOr<v1::CreateTokenResponse> Create(const std::string& name, v1::Role role,
                                                 absl::Duration lifetime);
  absl::StatusOr<std::vector<v1::Token>> List();
  absl::Status Revoke(const std::string& id);

 private:
  Connection connection_;
  const std::unique_ptr<v1::Access::Stub> stub_;
};

}  // namespace innerloop::client
