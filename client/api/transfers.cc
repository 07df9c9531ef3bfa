// Files on their way to and from the coordinator.
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "client/api/retry.h"
#include "client/api/training_client.h"
#include "core/checkpoint/checkpoint.h"
#include "core/dataset/dataset.h"
#include "core/support/checksum.h"
#include "core/support/mapped_file.h"
#include "core/support/partial_file.h"
#include "core/support/status_macros.h"

namespace innerloop::client {
namespace {

constexpr uint64_t kChunkBytes = uint64_t{1} << 20;

// Sends bytes[offset..) as chunks; `first` is the first message, with whatever it alone carries.
// Stops when the stream breaks; its status tells why.
template <typename Stream, typename Request>
void SendChunks(Stream& stream, Request first, absl::string_view bytes, uint64_t offset,
                const TransferProgress& progress) {
  Request request = std::move(first);
  do {
    const absl::string_view piece = bytes.substr(offset, kChunkBytes);
    request.mutable_chunk()->set_offset(offset);
    request.mutable_chunk()->set_data(piece.data(), piece.size());
    if (!stream.Write(request)) {
      return;
    }
    offset += piece.size();
    if (progress) {
      progress(offset, bytes.size());
    }
    request.Clear();
  } while (offset < bytes.size());
  stream.WritesDone();
}

// The end of a broken stream was still being taken in when this one began: ask again.
absl::Status AskAgain(const absl::Status& status) {
  return absl::IsOutOfRange(status) ? absl::UnavailableError(status.message()) : status;
}

}  // namespace

absl::StatusOr<v1::DataSetDescription> TrainingClient::SendDataSet(
    const v1::BeginDataSetUploadRequest& file, absl::string_view bytes, uint64_t offset,
    const TransferProgress& progress) {
  grpc::ClientContext context;
  const Cancellation::Scope scope(connection_.cancellation(), context);
  v1::DataSetDescription description;
  const auto stream = stub_->UploadDataSet(&context, &description);
  v1::UploadDataSetRequest first;
  *first.mutable_file() = file;
  SendChunks(*stream, std::move(first), bytes, offset, progress);
  INNERLOOP_RETURN_IF_ERROR(AskAgain(connection_.Convert(stream->Finish())));
  return description;
}

absl::StatusOr<v1::DataSetDescription> TrainingClient::UploadDataSet(
    const std::string& name, const std::string& path, const TransferProgress& progress) {
  INNERLOOP_ASSIGN_OR_RETURN(const auto data_set, Dataset::Open(path));
  INNERLOOP_ASSIGN_OR_RETURN(const MappedFile mapped, MappedFile::Open(path));
  v1::DataSetDescription described = data_set->Describe();
  described.set_name(name);
  v1::BeginDataSetUploadRequest file;
  file.set_name(name);
  file.set_sha256(described.sha256());
  file.set_bytes(mapped.bytes().size());

  const absl::Status sent = Upload(
      path, file.bytes(), [&] { return BeginDataSetUpload(file); },
      [&](uint64_t offset) {
        return SendDataSet(file, mapped.bytes(), offset, progress).status();
      });
  INNERLOOP_RETURN_IF_ERROR(sent);
  return described;
}

absl::Status TrainingClient::UploadModel(const std::string& path,
                                         const TransferProgress& progress) {
  INNERLOOP_ASSIGN_OR_RETURN(const MappedFile mapped, MappedFile::Open(path));
  v1::StoredFile file;
  file.set_sha256(Sha256::Hex(mapped.bytes()));
  file.set_bytes(mapped.bytes().size());
  return Upload(
      path, file.bytes(), [&] { return BeginModelUpload(file); },
      [&](uint64_t offset) {
        grpc::ClientContext context;
        const Cancellation::Scope scope(connection_.cancellation(), context);
        v1::StoredFile stored;
        const auto stream = stub_->UploadModel(&context, &stored);
        v1::UploadModelRequest first;
        *first.mutable_file() = file;
        SendChunks(*stream, std::move(first), mapped.bytes(), offset, progress);
        return AskAgain(connection_.Convert(stream->Finish()));
      });
}

absl::Status TrainingClient::Upload(
    const std::string& path, uint64_t bytes,
    const std::function<absl::StatusOr<v1::BeginUploadResponse>()>& begin,
    const std::function<absl::Status(uint64_t offset)>& send) {
  Retry retry = connection_.Patient();
  uint64_t reached = 0;
  while (true) {
    INNERLOOP_ASSIGN_OR_RETURN(const v1::BeginUploadResponse begun, begin());
    if (begun.complete()) {
      return absl::OkStatus();
    }
    if (begun.offset() > bytes) {
      return absl::InternalError(absl::StrCat("the coordinator wants ", path, " from byte ",
                                              begun.offset(), "; it has ", bytes));
    }
    // What an attempt brought over counts as life; without it patience runs out.
    if (begun.offset() > reached) {
      reached = begun.offset();
      retry.Progress();
    }
    absl::Status sent = send(begun.offset());
    if (sent.ok()) {
      return sent;
    }
    INNERLOOP_RETURN_IF_ERROR(retry.Again(sent));
  }
}

absl::StatusOr<v1::CheckpointInfo> TrainingClient::Pin(const std::string& checkpoint) {
  const std::pair<std::string, std::string> parts =
      absl::StrSplit(checkpoint, absl::MaxSplits('@', 1));
  INNERLOOP_ASSIGN_OR_RETURN(const std::vector<v1::CheckpointInfo> known,
                             ListCheckpoints(parts.first));
  const v1::CheckpointInfo* found = nullptr;
  for (const v1::CheckpointInfo& info : known) {
    const bool fits = parts.second.empty()     ? true
                      : parts.second == "best" ? info.best()
                                               : parts.second == absl::StrCat(info.iteration());
    if (fits && (found == nullptr || info.iteration() > found->iteration())) {
      found = &info;
    }
  }
  if (found == nullptr) {
    return absl::NotFoundError(absl::StrCat("there is no checkpoint '", checkpoint, "'; job ",
                                            parts.first, " has ", known.size(),
                                            " (see: innerloop checkpoint list ", parts.first, ")"));
  }
  return *found;
}

absl::Status TrainingClient::ReceiveCheckpoint(const std::string& pinned, PartialFile& file,
                                               uint64_t total, uint64_t& offset,
                                               const TransferProgress& progress) {
  grpc::ClientContext context;
  const Cancellation::Scope scope(connection_.cancellation(), context);
  v1::DownloadCheckpointRequest request;
  request.set_checkpoint(pinned);
  request.set_offset(offset);
  const auto stream = stub_->DownloadCheckpoint(&context, request);
  v1::FileChunk chunk;
  while (stream->Read(&chunk)) {
    absl::Status kept;
    if (chunk.offset() != offset) {
      kept = absl::DataLossError(absl::StrCat("the coordinator sent byte ", chunk.offset(), " of ",
                                              pinned, " where byte ", offset, " was due"));
    } else {
      kept = file.Write(chunk.data());
    }
    if (!kept.ok()) {
      context.TryCancel();
      stream->Finish();
      return kept;
    }
    offset += chunk.data().size();
    if (progress) {
      progress(offset, total);
    }
  }
  return connection_.Convert(stream->Finish());
}

absl::StatusOr<std::string> TrainingClient::DownloadCheckpoint(const std::string& checkpoint,
                                                               std::string path,
                                                               const TransferProgress& progress) {
  // A training job writes newer checkpoints meanwhile; all attempts must mean the same one.
  INNERLOOP_ASSIGN_OR_RETURN(const v1::CheckpointInfo info, Pin(checkpoint));
  const std::string pinned = absl::StrCat(info.job_id(), "@", info.iteration());
  if (path.empty()) {
    // In this folder, whatever the coordinator calls its jobs.
    path = absl::StrCat(absl::StrReplaceAll(info.job_id(), {{"/", "_"}}), "-",
                        CheckpointFileName(info.iteration()));
  }
  INNERLOOP_ASSIGN_OR_RETURN(PartialFile file, PartialFile::Create(path, 0666));
  Retry retry = connection_.Patient();
  uint64_t offset = 0;
  while (true) {
    const uint64_t before = offset;
    const absl::Status status = ReceiveCheckpoint(pinned, file, info.bytes(), offset, progress);
    if (status.ok()) {
      break;
    }
    if (offset > before) {
      retry.Progress();
    }
    INNERLOOP_RETURN_IF_ERROR(retry.Again(status));
  }
  if (absl::Status whole = ReadCheckpoint(file.temporary_path()).status(); !whole.ok()) {
    return absl::DataLossError(
        absl::StrCat("what arrived of ", pinned, " is not whole: ", whole.message()));
  }
  INNERLOOP_RETURN_IF_ERROR(file.Commit());
  return path;
}

absl::StatusOr<v1::Job> TrainingClient::UploadCheckpoint(const std::string& path,
                                                         const TransferProgress& progress) {
  INNERLOOP_RETURN_IF_ERROR(ReadCheckpoint(path).status());
  INNERLOOP_ASSIGN_OR_RETURN(const MappedFile mapped, MappedFile::Open(path));
  grpc::ClientContext context;
  const Cancellation::Scope scope(connection_.cancellation(), context);
  v1::Job job;
  const auto stream = stub_->UploadCheckpoint(&context, &job);
  v1::UploadCheckpointRequest first;
  first.set_bytes(mapped.bytes().size());
  SendChunks(*stream, std::move(first), mapped.bytes(), 0, progress);
  INNERLOOP_RETURN_IF_ERROR(connection_.Convert(stream->Finish()));
  return job;
}

}  // namespace innerloop::client
