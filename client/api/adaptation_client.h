// The C++ client library: the Adaptation service. With it an application adapts a meta-trained
// model to its user's task; docs/adapt.md shows how.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/api/connection.h"
#include "innerloop/v1/adaptation.grpc.pb.h"

namespace innerloop::client {

// One coordinator's adaptations. Calls are blocking and fail with the coordinator's own status,
// with UNAVAILABLE when it cannot be reached or has no workers, or with the cancellation's reason.
// Thread-safe.
class AdaptationClient {
 public:
  // `cancellation` outlives the client.
  AdaptationClient(ClientOptions options, Cancellation& cancellation);

  // Of "JOB", "JOB@ITERATION" or "JOB@best".
  absl::StatusOr<v1::ModelDescription> Describe(const std::string& checkpoint);
  // Adapts, and predicts the request's queries where it has any. DATA_LOSS, as of Predict, for
  // predictions that do not have as many values as their size and the queries make.
  absl::StatusOr<v1::AdaptResponse> Adapt(const v1::AdaptRequest& request);
  // Any number of queries, sent at most `most` in a call (MostQueries in core/job/adaptation.h).
  absl::StatusOr<v1::Predictions> Predict(const std::string& adaptation,
                                          const v1::Examples& queries, int64_t most);
  // The adapted model as a file's bytes.
  absl::StatusOr<std::string> Export(const std::string& adaptation,
                                     v1::ExportRequest::Format format);

 private:
  const Connection connection_;
  const std::unique_ptr<v1::Adaptation::Stub> stub_;
};

}  // namespace innerloop::client
