// The writing half of a worker's stream.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include <grpcpp/alarm.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/metrics/metrics.h"
#include "server/workers/worker_link.h"

namespace innerloop::server {

// What the coordinator writes to. It outlives the stream's reactor: once that is detached, calls do
// nothing. Writes are begun in the thread that calls Flush; while one is under way, what is queued
// is joined into the next. Thread-safe.
class StreamLink final : public WorkerLink, public std::enable_shared_from_this<StreamLink> {
 public:
  using Reactor = grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>;
  StreamLink(Reactor* reactor, grpc::CallbackServerContext* context, Metrics& metrics,
             absl::Duration patience)
      : metrics_(metrics), patience_(patience), reactor_(reactor), context_(context) {}

  void Send(const v1::Instruction& instruction) override;
  void SendBuffer(std::shared_ptr<const EncodedBuffer> buffer, uint64_t transfer) override;
  void Flush() override;
  void Forget(uint64_t transfer) override;
  void Close(const absl::Status& reason) override;

  // Closes the stream unless Greeted() is called in time.
  void ExpectHello();
  void Greeted();
  // From the reactor.
  void OnWriteDone(bool ok);
  void Detach();
  // What Forget was called with since the last time.
  std::vector<uint64_t> TakeForgotten();

 private:
  void WriteNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  Metrics& metrics_;
  const absl::Duration patience_;

  absl::Mutex mu_;
  Reactor* reactor_ ABSL_GUARDED_BY(mu_);
  grpc::CallbackServerContext* context_ ABSL_GUARDED_BY(mu_);
  OutgoingQueue queue_ ABSL_GUARDED_BY(mu_);
  std::vector<uint64_t> forgotten_ ABSL_GUARDED_BY(mu_);
  // Being written.
  grpc::ByteBuffer batch_ ABSL_GUARDED_BY(mu_);
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  bool greeted_ ABSL_GUARDED_BY(mu_) = false;
  bool finished_ ABSL_GUARDED_BY(mu_) = false;
  std::optional<absl::Status> closing_ ABSL_GUARDED_BY(mu_);
  grpc::Alarm hello_alarm_;
  grpc::Alarm close_alarm_;
};

}  // namespace innerloop::server
