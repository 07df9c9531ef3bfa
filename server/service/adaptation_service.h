#pragma once

#include <memory>

#include <grpcpp/grpcpp.h>

#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "core/support/clock.h"
#include "innerloop/v1/adaptation.grpc.pb.h"
#include "server/coordinator.h"
#include "server/service/adaptation_handles.h"

namespace innerloop::server {

// The Adaptation service: checks what callers send, has workers compute it, remembers what it was
// made from. gRPC's threads call it, one for each call under way. Thread-safe.
class AdaptationService final : public v1::Adaptation::Service {
 public:
  AdaptationService(Coordinator& coordinator, const Clock& clock)
      : coordinator_(coordinator), handles_(clock) {}

  // Ends the calls that wait with UNAVAILABLE. Once, before the server shuts down.
  void Stop() { stopping_.Notify(); }

  grpc::Status Describe(grpc::ServerContext* context, const v1::DescribeRequest* request,
                        v1::ModelDescription* response) override;
  grpc::Status Adapt(grpc::ServerContext* context, const v1::AdaptRequest* request,
                     v1::AdaptResponse* response) override;
  grpc::Status Predict(grpc::ServerContext* context, const v1::PredictRequest* request,
                       v1::PredictResponse* response) override;
  grpc::Status Export(grpc::ServerContext* context, const v1::ExportRequest* request,
                      grpc::ServerWriter<v1::FileChunk>* writer) override;

 private:
  using Pinned = std::shared_ptr<const PinnedCheckpoint>;
  absl::StatusOr<Pinned> Pin(const std::string& checkpoint);
  // NOT_FOUND for an unknown handle.
  absl::StatusOr<std::shared_ptr<const AdaptationRecipe>> Find(const std::string& handle);
  absl::StatusOr<v1::AdaptResponse> AdaptTo(const grpc::ServerContext& context,
                                            const v1::AdaptRequest& request);
  // Does what the recipe says again, and what `task` asks for besides.
  absl::StatusOr<Adapted> Repeat(const grpc::ServerContext& context, const AdaptationRecipe& recipe,
                                 v1::AdaptationTask task);
  absl::StatusOr<Adapted> Run(const grpc::ServerContext& context, const Pinned& pinned,
                              v1::AdaptationTask task);

  Coordinator& coordinator_;
  AdaptationHandles handles_;
  absl::Notification stopping_;
};

}  // namespace innerloop::server
