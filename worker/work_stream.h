// The worker's end of a Work.Connect stream: batches in, batches out.
#pragma once

#include <memory>

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/client_callback.h>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "core/rpc/batch_stream.h"
#include "worker/metrics.h"

namespace innerloop::worker {

// What a stream tells its session. Called from gRPC's threads, one call at a time.
class WorkStreamHandler {
 public:
  virtual ~WorkStreamHandler() = default;
  // A status that is not OK ends the stream.
  virtual absl::Status OnBatch(grpc::ByteBuffer& batch) = 0;
  // The last call; the stream is not touched after it. (Channels must not go away in gRPC's
  // threads, so it must not destroy the stream itself.)
  virtual void OnClosed(const absl::Status& status) = 0;
};

// One read and at most one write are in flight; a write starts in the thread that asks for it.
// Owned by Session; thread-safe.
class WorkStream final : private grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  WorkStream(std::shared_ptr<grpc::Channel> channel, WorkStreamHandler& handler, Metrics& metrics);

  // Once. The handler and this must then live until OnClosed.
  void Start();
  // Lets `fill` add to what is to be written. It is called with a lock held.
  void Write(absl::FunctionRef<void(OutgoingQueue&)> fill) ABSL_LOCKS_EXCLUDED(mu_);
  // Ends this direction after what is queued; the other end then closes the stream.
  void CloseWrites() ABSL_LOCKS_EXCLUDED(mu_);
  // Ends the stream now; `reason` becomes the status of OnClosed.
  void Cancel(const absl::Status& reason) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  enum class Next { kNothing, kWrite, kClose, kRemoveHold };
  // Decides what comes next when nothing is being written, and marks it as under way.
  Next Advance() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Do(Next next);
  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnWritesDoneDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;

  const std::shared_ptr<grpc::Channel> channel_;
  WorkStreamHandler& handler_;
  Metrics& metrics_;
  grpc::GenericStub stub_;
  grpc::ClientContext context_;
  grpc::ByteBuffer incoming_;  // reactions only
  grpc::ByteBuffer outgoing_;  // the write in flight

  absl::Mutex mu_;
  OutgoingQueue queue_ ABSL_GUARDED_BY(mu_);
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  bool close_writes_ ABSL_GUARDED_BY(mu_) = false;
  bool writes_closed_ ABSL_GUARDED_BY(mu_) = false;
  // Nothing is read any more: no new write may begin.
  bool ended_ ABSL_GUARDED_BY(mu_) = false;
  bool hold_removed_ ABSL_GUARDED_BY(mu_) = false;
  absl::Status reason_ ABSL_GUARDED_BY(mu_);
};

}  // namespace innerloop::worker
