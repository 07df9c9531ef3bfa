#include "server/service/work_service.h"

#include <algorithm>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "core/rpc/batch_stream.h"
#include "core/rpc/status.h"
#include "core/support/status_macros.h"
#include "core/tensor/transfer.h"
#include "server/service/stream_link.h"
#include "spdlog/spdlog.h"

namespace innerloop::server {
namespace {

// Results of one stream that are coming or wait to be asked for.
constexpr size_t kMostTransfers = 4096;
constexpr absl::Duration kAliveEvery = absl::Seconds(1);

// The reading half of a worker's stream: takes batches apart, puts buffers together in memory that
// was asked for, and tells the coordinator. Its reactions come one after the other from gRPC's
// threads; it deletes itself when the stream is done.
class WorkerStream final : public StreamLink::Reactor, private BatchHandler {
 public:
  WorkerStream(grpc::CallbackServerContext* context, Coordinator& coordinator, Metrics& metrics,
               const WorkService::Options& options)
      : coordinator_(coordinator),
        metrics_(metrics),
        clock_(options.clock),
        link_(std::make_shared<StreamLink>(this, context, metrics, options.patience)) {
    link_->ExpectHello();
    StartRead(&batch_);
  }

  void OnReadDone(bool ok) override {
    if (!ok) {
      Leave();
      link_->Close(absl::OkStatus());
      return;
    }
    metrics_.OnBytes(0, batch_.Length());
    if (const absl::Status status = ReadBatch(batch_, *this); !status.ok()) {
      spdlog::warn("closing the stream of worker '{}': {}", worker_id_,
                   std::string(status.message()));
      Leave();
      link_->Close(status);
      return;
    }
    batch_.Clear();
    StartRead(&batch_);
  }

  void OnWriteDone(bool ok) override { link_->OnWriteDone(ok); }

  void OnDone() override {
    link_->Detach();
    Leave();
    delete this;
  }

 private:
  // A result's frames, from its ResultBegin to its last frame, or until the coordinator forgets it.
  struct Incoming {
    uint64_t work_id = 0;
    uint64_t bytes = 0;
    bool begun = false;
    // Of a result that is not wanted.
    uint64_t dropped = 0;
    std::unique_ptr<IncomingTransfer> wanted;
  };

  void Leave() {
    if (!worker_id_.empty()) {
      coordinator_.Disconnect(std::exchange(worker_id_, ""));
    }
  }

  absl::Status OnEntry(absl::string_view serialised) override {
    if (!report_.ParseFromArray(serialised.data(), static_cast<int>(serialised.size()))) {
      return absl::InvalidArgumentError("an entry of a batch is no Report");
    }
    if (worker_id_.empty() || report_.has_hello()) {
      return OnHello();
    }
    if (report_.has_result() && report_.result().bytes() > 0) {
      INNERLOOP_RETURN_IF_ERROR(Expect(report_.result()));
    }
    coordinator_.OnReport(worker_id_, report_);
    return absl::OkStatus();
  }

  absl::Status OnHello() {
    if (!worker_id_.empty()) {
      return absl::InvalidArgumentError("a second Hello on one stream");
    }
    if (!report_.has_hello()) {
      return absl::InvalidArgumentError("the first report of a stream must be Hello");
    }
    link_->Greeted();
    INNERLOOP_ASSIGN_OR_RETURN(worker_id_, coordinator_.Connect(report_.hello(), link_));
    return absl::OkStatus();
  }

  absl::Status Expect(const v1::ResultBegin& result) {
    if (result.bytes() % sizeof(float) != 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("a result has ", result.bytes(), " bytes, which is no multiple of 4"));
    }
    if (!result.announced() && result.bytes() > kDirectResultBytes) {
      return absl::InvalidArgumentError(absl::StrCat(
          "a result of ", result.bytes(), " bytes was not announced; what has more than ",
          kDirectResultBytes, " must be"));
    }
    for (const uint64_t transfer : link_->TakeForgotten()) {
      incoming_.erase(transfer);
    }
    if (incoming_.size() >= kMostTransfers) {
      return absl::ResourceExhaustedError(
          absl::StrCat(incoming_.size(), " results were announced and not sent"));
    }
    Incoming incoming;
    incoming.work_id = result.work_id();
    incoming.bytes = result.bytes();
    if (!incoming_.emplace(result.transfer(), std::move(incoming)).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("transfer ", result.transfer(), " is under way already"));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<char*> OnFrame(uint64_t transfer, uint64_t offset, uint64_t size) override {
    const auto it = incoming_.find(transfer);
    if (it == incoming_.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("a frame of transfer ", transfer, ", which no result began"));
    }
    Incoming& incoming = it->second;
    if (!incoming.begun) {
      incoming.begun = true;
      if (coordinator_.WantsBuffer(worker_id_, incoming.work_id, incoming.bytes)) {
        incoming.wanted = std::make_unique<IncomingTransfer>(transfer, incoming.bytes);
      }
    }
    KeepAlive();
    if (incoming.wanted != nullptr) {
      return incoming.wanted->Reserve(offset, size);
    }
    if (offset != incoming.dropped || size == 0 || size > incoming.bytes - incoming.dropped) {
      return absl::InvalidArgumentError(
          absl::StrCat("a frame of transfer ", transfer, " at ", offset, " with ", size,
                       " bytes does not follow the ", incoming.dropped, " of ", incoming.bytes));
    }
    // There is no OnFrameDone for what is dropped.
    incoming.dropped += size;
    if (incoming.dropped == incoming.bytes) {
      incoming_.erase(it);
    }
    return nullptr;
  }

  absl::Status OnFrameDone(uint64_t transfer, uint64_t size, uint32_t crc32c) override {
    const auto it = incoming_.find(transfer);
    Incoming& incoming = it->second;
    INNERLOOP_RETURN_IF_ERROR(incoming.wanted->Commit(size, crc32c));
    if (incoming.wanted->complete()) {
      FlatBuffer buffer = incoming.wanted->Take();
      incoming_.erase(it);
      coordinator_.OnBuffer(worker_id_, transfer, std::move(buffer));
    }
    return absl::OkStatus();
  }

  // A heartbeat may be waiting behind a long transfer.
  void KeepAlive() {
    const absl::Duration now = clock_.Monotonic();
    if (now - alive_ > kAliveEvery) {
      alive_ = now;
      coordinator_.OnAlive(worker_id_);
    }
  }

  Coordinator& coordinator_;
  Metrics& metrics_;
  const Clock& clock_;
  const std::shared_ptr<StreamLink> link_;
  grpc::ByteBuffer batch_;
  v1::Report report_;
  // Empty before Hello, and after the stream has ended.
  std::string worker_id_;
  absl::flat_hash_map<uint64_t, Incoming> incoming_;
  absl::Duration alive_ = -absl::InfiniteDuration();
};

}  // namespace

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* WorkService::Connect(
    grpc::CallbackServerContext* context) {
  return new WorkerStream(context, coordinator_, metrics_, options_);
}

absl::StatusOr<WorkService::FileOnDisk> WorkService::Find(const std::string& sha256) {
  UploadFolder& models = data_sets_.models();
  if (const std::optional<v1::StoredFile> model = models.Find(sha256); model.has_value()) {
    return FileOnDisk{absl::StrCat("model ", sha256), models.PathOf(sha256), model->bytes()};
  }
  INNERLOOP_ASSIGN_OR_RETURN(const v1::DataSetDescription found, data_sets_.Find(sha256));
  return FileOnDisk{absl::StrCat("data set '", found.name(), "'"),
                    data_sets_.PathOf(found.sha256()), found.bytes()};
}

grpc::Status WorkService::FetchFile(grpc::ServerContext* context,
                                    const v1::FetchFileRequest* request,
                                    grpc::ServerWriter<v1::FileChunk>* writer) {
  const absl::StatusOr<FileOnDisk> found = Find(request->sha256());
  if (!found.ok()) {
    return ToGrpc(found.status());
  }
  if (request->offset() > found->bytes) {
    return ToGrpc(absl::OutOfRangeError(absl::StrCat(
        "offset is ", request->offset(), "; the ", found->what, " has ", found->bytes, " bytes")));
  }
  std::ifstream file(found->path, std::ios::binary);
  file.seekg(static_cast<std::streamoff>(request->offset()));
  v1::FileChunk chunk;
  uint64_t offset = request->offset();
  while (offset < found->bytes && !context->IsCancelled()) {
    const uint64_t size =
        std::min<uint64_t>(static_cast<uint64_t>(kMaxFrameBytes), found->bytes - offset);
    chunk.set_offset(offset);
    chunk.mutable_data()->resize(size);
    if (!file.read(chunk.mutable_data()->data(), static_cast<std::streamsize>(size))) {
      return ToGrpc(absl::DataLossError(
          absl::StrCat("the file of ", found->what, " cannot be read at ", offset)));
    }
    if (!writer->Write(chunk)) {
      break;
    }
    offset += size;
  }
  return grpc::Status::OK;
}

}  // namespace innerloop::server
