// A coordinator that does what a test says.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <grpcpp/server.h>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "core/tensor/parameter_set.h"
#include "innerloop/v1/work.grpc.pb.h"
#include "innerloop/v1/work.pb.h"

namespace innerloop::worker {

// The other end of a worker's stream. Await... wait until it comes; the test's time limit is the
// only other way out. Thread-safe.
class FakeStream {
 public:
  using ReaderWriter = grpc::ServerReaderWriter<v1::CoordinatorMessage, v1::WorkerMessage>;

  void Send(const v1::Instruction& instruction);
  void SendWelcome(double heartbeat_seconds);
  void SendJob(const v1::JobDescription& job);
  void SendParameters(const std::string& job_id, uint64_t version,
                      const std::vector<float>& values);
  void SendShard(uint64_t work_id, const std::string& job_id, uint64_t version, uint64_t first_task,
                 uint64_t last_task);
  void SendDrop(uint64_t work_id);

  // The next report that is neither heartbeat nor notice; a default one when the stream has ended.
  v1::Report AwaitReport();
  // The next notice.
  v1::JobNotice AwaitNotice();
  void AwaitHeartbeat();
  // The frames of a transfer, which must be the next reports, joined, as values.
  std::vector<float> AwaitBuffer(uint64_t transfer, uint64_t bytes);
  void AwaitEnd();
  // Ends the stream from this side.
  void Finish();

 private:
  friend class FakeCoordinator;
  grpc::Status Serve(grpc::ServerContext* context, ReaderWriter* stream);

  absl::Mutex write_mu_;
  ReaderWriter* stream_ ABSL_GUARDED_BY(write_mu_) = nullptr;
  absl::Mutex mu_;
  grpc::ServerContext* context_ ABSL_GUARDED_BY(mu_) = nullptr;
  bool ended_ ABSL_GUARDED_BY(mu_) = false;
  int heartbeats_ ABSL_GUARDED_BY(mu_) = 0;
  std::deque<v1::Report> reports_ ABSL_GUARDED_BY(mu_);
  std::deque<v1::JobNotice> notices_ ABSL_GUARDED_BY(mu_);
};

// Serves streams and data sets on a port of 127.0.0.1. Thread-safe.
class FakeCoordinator final : public v1::Work::Service {
 public:
  FakeCoordinator() { Start(); }
  ~FakeCoordinator() override { Stop(); }

  // Comes back on the same port.
  void Start();
  // Cuts every stream.
  void Stop();
  std::string address() const;
  // The next stream that a worker opened.
  std::shared_ptr<FakeStream> AwaitStream();

  // Called for each fetch, in place of sending the file in pieces of `piece_bytes`.
  std::function<grpc::Status(const v1::FetchFileRequest&, grpc::ServerWriter<v1::FileChunk>*)>
      on_fetch;
  // The file's content by hash.
  std::map<std::string, std::string> files;
  size_t piece_bytes = 1000;
  // Offsets that were asked for, in order.
  std::vector<uint64_t> fetches();

 private:
  grpc::Status Connect(grpc::ServerContext* context, FakeStream::ReaderWriter* stream) override;
  grpc::Status FetchFile(grpc::ServerContext* context, const v1::FetchFileRequest* request,
                         grpc::ServerWriter<v1::FileChunk>* writer) override;

  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
  absl::Mutex mu_;
  std::deque<std::shared_ptr<FakeStream>> streams_ ABSL_GUARDED_BY(mu_);
  std::vector<uint64_t> fetches_ ABSL_GUARDED_BY(mu_);
};

}  // namespace innerloop::worker
