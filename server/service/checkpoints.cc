#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <random>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "core/checkpoint/checkpoint.h"
#include "core/support/status_macros.h"
#include "core/tensor/transfer.h"
#include "server/jobs/job_loader.h"
#include "server/service/received_file.h"
#include "server/service/request_checks.h"
#include "server/service/training_service.h"

namespace innerloop::server {
namespace {

std::string FreshId() {
  constexpr char kDigits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
  std::random_device random;
  std::string id = "c";
  for (int i = 0; i < 11; ++i) {
    id += kDigits[random() % 36];
  }
  return id;
}

}  // namespace

grpc::Status TrainingService::ListCheckpoints(grpc::ServerContext* /*context*/,
                                              const v1::ListCheckpointsRequest* request,
                                              v1::ListCheckpointsResponse* response) {
  if (const absl::Status status = CheckRequired("id", request->id(), kMaxIdLength); !status.ok()) {
    return ToGrpc(status);
  }
  // Says it when there is no such job.
  if (const absl::StatusOr<v1::Job> job = parts_.coordinator.Get(request->id()); !job.ok()) {
    return ToGrpc(job.status());
  }
  absl::StatusOr<std::vector<v1::CheckpointInfo>> infos = parts_.checkpoints.List(request->id());
  if (!infos.ok()) {
    return ToGrpc(infos.status());
  }
  for (v1::CheckpointInfo& info : *infos) {
    *response->add_checkpoints() = std::move(info);
  }
  return grpc::Status::OK;
}

grpc::Status TrainingService::DownloadCheckpoint(grpc::ServerContext* context,
                                                 const v1::DownloadCheckpointRequest* request,
                                                 grpc::ServerWriter<v1::FileChunk>* writer) {
  if (const absl::Status status =
          CheckRequired("checkpoint", request->checkpoint(), kMaxNameLength);
      !status.ok()) {
    return ToGrpc(status);
  }
  const absl::StatusOr<std::string> path = parts_.checkpoints.PathOf(request->checkpoint());
  if (!path.ok()) {
    return ToGrpc(path.status());
  }
  // Once open, the file stays readable even when retention removes it.
  const int descriptor = open(path->c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    return ToGrpc(absl::ErrnoToStatus(errno, absl::StrCat("cannot open '", *path, "'")));
  }
  const absl::Cleanup close_it = [&] { close(descriptor); };
  const off_t size = lseek(descriptor, 0, SEEK_END);
  if (size < 0 || request->offset() > static_cast<uint64_t>(size)) {
    return ToGrpc(absl::OutOfRangeError(
        absl::StrCat("offset is ", request->offset(), "; the file has ", size, " bytes")));
  }
  v1::FileChunk chunk;
  chunk.set_offset(request->offset());
  while (!context->IsCancelled()) {
    std::string& data = *chunk.mutable_data();
    data.resize(kMaxFrameBytes);
    const ssize_t got =
        pread(descriptor, data.data(), data.size(), static_cast<off_t>(chunk.offset()));
    if (got < 0) {
      return ToGrpc(absl::ErrnoToStatus(errno, absl::StrCat("cannot read '", *path, "'")));
    }
    if (got == 0) {
      return grpc::Status::OK;
    }
    data.resize(static_cast<size_t>(got));
    if (!writer->Write(chunk)) {
      break;
    }
    chunk.set_offset(chunk.offset() + static_cast<uint64_t>(got));
  }
  return grpc::Status::CANCELLED;
}

absl::StatusOr<v1::Job> TrainingService::Adopt(const std::string& path) {
  absl::StatusOr<Checkpoint> checkpoint = ReadCheckpoint(path);
  const absl::Status good =
      checkpoint.ok() ? ResolveSent(checkpoint->metadata) : checkpoint.status();
  if (!good.ok()) {
    return absl::Status(good.code(),
                        absl::StrCat("the checkpoint that was sent is refused: ", good.message()));
  }
  const std::string id = FreshId();
  checkpoint->metadata.set_job_id(id);
  INNERLOOP_RETURN_IF_ERROR(
      parts_.checkpoints.Write(*checkpoint, /*best=*/false, /*keep=*/1).status());
  absl::StatusOr<v1::Job> job = parts_.coordinator.Adopt(*std::move(checkpoint));
  if (!job.ok()) {
    parts_.checkpoints.DeleteJob(id).IgnoreError();
  }
  return job;
}

grpc::Status TrainingService::UploadCheckpoint(
    grpc::ServerContext* /*context*/, grpc::ServerReader<v1::UploadCheckpointRequest>* reader,
    v1::Job* response) {
  v1::UploadCheckpointRequest request;
  if (!reader->Read(&request)) {
    return ToGrpc(absl::InvalidArgumentError("the upload is empty"));
  }
  if (request.bytes() == 0 || request.bytes() > options_.max_checkpoint_bytes) {
    return ToGrpc(
        absl::Status(request.bytes() == 0 ? absl::StatusCode::kInvalidArgument
                                          : absl::StatusCode::kResourceExhausted,
                     absl::StrCat("bytes is ", request.bytes(), "; a checkpoint may have 1 to ",
                                  options_.max_checkpoint_bytes, " bytes here")));
  }
  const absl::StatusOr<std::unique_ptr<ReceivedFile>> file =
      ReceivedFile::Create(absl::StrCat(options_.state_dir, "/uploads"), request.bytes());
  if (!file.ok()) {
    return ToGrpc(file.status());
  }
  do {
    if (const absl::Status status =
            (*file)->Append(request.chunk().offset(), request.chunk().data());
        !status.ok() && !request.chunk().data().empty()) {
      return ToGrpc(status);
    }
  } while (reader->Read(&request));
  if (const absl::Status status = (*file)->Complete(); !status.ok()) {
    return ToGrpc(status);
  }
  return Answer(Adopt((*file)->path()), response);
}

}  // namespace innerloop::server
