// A coordinator's Adaptation service for the client's tests: it answers a query as the nearest
// support example is labelled, and keeps what it was sent.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "innerloop/v1/adaptation.grpc.pb.h"

namespace innerloop::client {

// Serves on a free port of loopback from its construction on; knows the job "j1". Thread-safe.
class FakeAdaptation final : public v1::Adaptation::Service {
 public:
  explicit FakeAdaptation(v1::ModelDescription model);
  ~FakeAdaptation() override;

  std::string address() const;
  // Adapt fails with this.
  void Fail(grpc::Status status);
  // Applied to all predictions before they are sent.
  void Spoil(std::function<void(v1::Predictions&)> spoil);

  std::vector<v1::AdaptRequest> adapted() const;
  // Queries of each Predict call.
  std::vector<int64_t> predicted() const;

 private:
  using Context = grpc::ServerContext*;
  grpc::Status Describe(Context, const v1::DescribeRequest*, v1::ModelDescription*) override;
  grpc::Status Adapt(Context, const v1::AdaptRequest*, v1::AdaptResponse*) override;
  grpc::Status Predict(Context, const v1::PredictRequest*, v1::PredictResponse*) override;
  grpc::Status Export(Context, const v1::ExportRequest*,
                      grpc::ServerWriter<v1::FileChunk>*) override;
  v1::Predictions Answer(const v1::Examples& queries) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const v1::ModelDescription model_;
  mutable absl::Mutex mu_;
  grpc::Status failure_ ABSL_GUARDED_BY(mu_);
  std::function<void(v1::Predictions&)> spoil_ ABSL_GUARDED_BY(mu_);
  std::vector<v1::AdaptRequest> adapted_ ABSL_GUARDED_BY(mu_);
  std::vector<int64_t> predicted_ ABSL_GUARDED_BY(mu_);

  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace innerloop::client
