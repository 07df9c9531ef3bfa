#include "server/service/adaptation_service.h"

#include <algorithm>
#include <functional>
#include <string>
#include <utility>

#include <google/protobuf/util/time_util.h>

#include "absl/strings/str_cat.h"
#include "core/job/adaptation.h"
#include "core/support/status_macros.h"
#include "core/tensor/transfer.h"
#include "server/service/await.h"
#include "server/service/request_checks.h"

namespace innerloop::server {

absl::StatusOr<AdaptationService::Pinned> AdaptationService::Pin(const std::string& checkpoint) {
  INNERLOOP_RETURN_IF_ERROR(CheckRequired("checkpoint", checkpoint, kMaxNameLength));
  return coordinator_.Pin(checkpoint);
}

absl::StatusOr<std::shared_ptr<const AdaptationRecipe>> AdaptationService::Find(
    const std::string& handle) {
  INNERLOOP_RETURN_IF_ERROR(CheckRequired("adaptation", handle, kMaxNameLength));
  std::shared_ptr<const AdaptationRecipe> recipe = handles_.Use(handle);
  if (recipe == nullptr) {
    return absl::NotFoundError(
        absl::StrCat("there is no adaptation '", handle,
                     "' (any more): the coordinator forgets one an hour after its last use, before "
                     "that when there are many, and when it restarts; adapt again"));
  }
  return recipe;
}

absl::StatusOr<Adapted> AdaptationService::Run(const grpc::ServerContext& context,
                                               const Pinned& pinned, v1::AdaptationTask task) {
  return Await<Adapted>(context, stopping_, [&](std::function<void(absl::StatusOr<Adapted>)> done) {
    return coordinator_.Adapt(pinned, std::move(task), std::move(done));
  });
}

grpc::Status AdaptationService::Describe(grpc::ServerContext* /*context*/,
                                         const v1::DescribeRequest* request,
                                         v1::ModelDescription* response) {
  const absl::StatusOr<Pinned> pinned = Pin(request->checkpoint());
  if (!pinned.ok()) {
    return ToGrpc(pinned.status());
  }
  *response = (*pinned)->model;
  return grpc::Status::OK;
}

absl::StatusOr<v1::AdaptResponse> AdaptationService::AdaptTo(const grpc::ServerContext& context,
                                                             const v1::AdaptRequest& request) {
  INNERLOOP_ASSIGN_OR_RETURN(const Pinned pinned, Pin(request.checkpoint()));
  AdaptationRecipe recipe;
  recipe.checkpoint = pinned->reference;
  recipe.support = request.support();
  INNERLOOP_ASSIGN_OR_RETURN(recipe.rule, ResolveRule(pinned->description.spec(), request.rule()));
  INNERLOOP_RETURN_IF_ERROR(CheckSupport(pinned->model, request.support()));
  v1::AdaptationTask task;
  if (request.has_queries()) {
    INNERLOOP_RETURN_IF_ERROR(CheckQueries(pinned->model, request.support(), request.queries()));
    *task.mutable_queries() = request.queries();
  }
  *task.mutable_support() = request.support();
  *task.mutable_rule() = recipe.rule;
  INNERLOOP_ASSIGN_OR_RETURN(Adapted adapted, Run(context, pinned, std::move(task)));
  v1::AdaptResponse response;
  response.set_iteration(pinned->model.iteration());
  *response.mutable_rule() = recipe.rule;
  *response.mutable_support_losses() = std::move(*adapted.result.mutable_support_losses());
  if (request.has_queries()) {
    *response.mutable_predictions() = std::move(*adapted.result.mutable_predictions());
  }
  const AdaptationHandles::Kept kept = handles_.Add(std::move(recipe));
  response.set_adaptation(kept.handle);
  *response.mutable_expires() =
      google::protobuf::util::TimeUtil::NanosecondsToTimestamp(absl::ToUnixNanos(kept.expires));
  return response;
}

grpc::Status AdaptationService::Adapt(grpc::ServerContext* context, const v1::AdaptRequest* request,
                                      v1::AdaptResponse* response) {
  return Answer(AdaptTo(*context, *request), response);
}

absl::StatusOr<Adapted> AdaptationService::Repeat(const grpc::ServerContext& context,
                                                  const AdaptationRecipe& recipe,
                                                  v1::AdaptationTask task) {
  INNERLOOP_ASSIGN_OR_RETURN(const Pinned pinned, Pin(recipe.checkpoint));
  if (task.has_queries()) {
    INNERLOOP_RETURN_IF_ERROR(CheckQueries(pinned->model, recipe.support, task.queries()));
  }
  *task.mutable_support() = recipe.support;
  *task.mutable_rule() = recipe.rule;
  return Run(context, pinned, std::move(task));
}

grpc::Status AdaptationService::Predict(grpc::ServerContext* context,
                                        const v1::PredictRequest* request,
                                        v1::PredictResponse* response) {
  const auto recipe = Find(request->adaptation());
  if (!recipe.ok()) {
    return ToGrpc(recipe.status());
  }
  v1::AdaptationTask task;
  *task.mutable_queries() = request->queries();
  absl::StatusOr<Adapted> adapted = Repeat(*context, **recipe, std::move(task));
  if (!adapted.ok()) {
    return ToGrpc(adapted.status());
  }
  *response->mutable_predictions() = std::move(*adapted->result.mutable_predictions());
  return grpc::Status::OK;
}

grpc::Status AdaptationService::Export(grpc::ServerContext* context,
                                       const v1::ExportRequest* request,
                                       grpc::ServerWriter<v1::FileChunk>* writer) {
  const auto recipe = Find(request->adaptation());
  if (!recipe.ok()) {
    return ToGrpc(recipe.status());
  }
  if (request->format() != v1::ExportRequest::FORMAT_SAFETENSORS &&
      request->format() != v1::ExportRequest::FORMAT_TORCHSCRIPT) {
    return ToGrpc(absl::InvalidArgumentError(
        "format is missing or unknown; choose FORMAT_SAFETENSORS or FORMAT_TORCHSCRIPT"));
  }
  v1::AdaptationTask task;
  task.set_format(request->format());
  const absl::StatusOr<Adapted> adapted = Repeat(*context, **recipe, std::move(task));
  if (!adapted.ok()) {
    return ToGrpc(adapted.status());
  }
  const auto* const file = reinterpret_cast<const char*>(adapted->file.data());
  const uint64_t bytes = adapted->result.file_bytes();
  v1::FileChunk chunk;
  for (uint64_t offset = 0; offset < bytes; offset += chunk.data().size()) {
    chunk.set_offset(offset);
    chunk.set_data(file + offset,
                   std::min<uint64_t>(bytes - offset, static_cast<uint64_t>(kMaxFrameBytes)));
    if (!writer->Write(chunk)) {
      return grpc::Status::CANCELLED;
    }
  }
  return grpc::Status::OK;
}

}  // namespace innerloop::server
