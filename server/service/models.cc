// Users' own models: files that nothing here looks into.
#include "server/service/request_checks.h"
#include "server/service/training_service.h"

namespace innerloop::server {

grpc::Status TrainingService::BeginModelUpload(grpc::ServerContext* /*context*/,
                                               const v1::StoredFile* request,
                                               v1::BeginUploadResponse* response) {
  return Answer(parts_.data_sets.models().Begin(*request), response);
}

grpc::Status TrainingService::UploadModel(grpc::ServerContext* /*context*/,
                                          grpc::ServerReader<v1::UploadModelRequest>* reader,
                                          v1::StoredFile* response) {
  UploadFolder& models = parts_.data_sets.models();
  v1::UploadModelRequest request;
  if (!reader->Read(&request)) {
    return ToGrpc(absl::InvalidArgumentError("the upload is empty"));
  }
  const v1::StoredFile file = request.file();
  const absl::StatusOr<v1::BeginUploadResponse> begun = models.Begin(file);
  if (!begun.ok()) {
    return ToGrpc(begun.status());
  }
  *response = file;
  if (begun->complete()) {
    return grpc::Status::OK;
  }
  do {
    if (request.chunk().data().empty()) {
      continue;
    }
    if (const absl::Status status =
            models.Append(file, request.chunk().offset(), request.chunk().data());
        !status.ok()) {
      return ToGrpc(status);
    }
  } while (reader->Read(&request));
  return ToGrpc(models.Finish(file, [](const std::string&) { return absl::OkStatus(); }));
}

}  // namespace innerloop::server
