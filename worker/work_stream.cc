#include "worker/work_stream.h"

#include <utility>

#include "core/rpc/call_headers.h"
#include "core/rpc/status.h"

namespace innerloop::worker {

WorkStream::WorkStream(std::shared_ptr<grpc::Channel> channel, WorkStreamHandler& handler,
                       Metrics& metrics)
    : channel_(std::move(channel)), handler_(handler), metrics_(metrics), stub_(channel_) {}

void WorkStream::Start() {
  AddHeaders(context_);
  stub_.PrepareBidiStreamingCall(&context_, "/innerloop.v1.Work/Connect", {}, this);
  // Writes begin outside of reactions, so gRPC must not end the call while one may.
  AddHold();
  StartRead(&incoming_);
  StartCall();
}

void WorkStream::Write(absl::FunctionRef<void(OutgoingQueue&)> fill) {
  Next next;
  {
    absl::MutexLock lock(&mu_);
    if (ended_ || close_writes_) {
      return;
    }
    fill(queue_);
    next = Advance();
  }
  Do(next);
}

void WorkStream::CloseWrites() {
  Next next;
  {
    absl::MutexLock lock(&mu_);
    close_writes_ = true;
    next = Advance();
  }
  Do(next);
}

void WorkStream::Cancel(const absl::Status& reason) {
  {
    absl::MutexLock lock(&mu_);
    if (reason_.ok()) {
      reason_ = reason;
    }
  }
  context_.TryCancel();
}

WorkStream::Next WorkStream::Advance() {
  if (writing_) {
    return Next::kNothing;
  }
  if (ended_) {
    queue_.Clear();
    if (hold_removed_) {
      return Next::kNothing;
    }
    hold_removed_ = true;
    return Next::kRemoveHold;
  }
  if (!queue_.empty()) {
    writing_ = true;
    outgoing_ = queue_.Next();
    return Next::kWrite;
  }
  if (close_writes_ && !writes_closed_) {
    writing_ = true;
    writes_closed_ = true;
    return Next::kClose;
  }
  return Next::kNothing;
}

void WorkStream::Do(Next next) {
  switch (next) {
    case Next::kNothing:
      return;
    case Next::kWrite:
      metrics_.OnSent(outgoing_.Length());
      StartWrite(&outgoing_);
      return;
    case Next::kClose:
      StartWritesDone();
      return;
    case Next::kRemoveHold:
      RemoveHold();
      return;
  }
}

void WorkStream::OnReadDone(bool ok) {
  if (ok) {
    metrics_.OnReceived(incoming_.Length());
    const absl::Status status = handler_.OnBatch(incoming_);
    if (status.ok()) {
      StartRead(&incoming_);
      return;
    }
    Cancel(status);
  }
  Next next;
  {
    absl::MutexLock lock(&mu_);
    ended_ = true;
    next = Advance();
  }
  Do(next);
}

void WorkStream::OnWriteDone(bool /*ok*/) {
  // A write that failed means that the stream is broken, which the read in flight will tell.
  Next next;
  {
    absl::MutexLock lock(&mu_);
    writing_ = false;
    next = Advance();
  }
  Do(next);
}

void WorkStream::OnWritesDoneDone(bool ok) { OnWriteDone(ok); }

void WorkStream::OnDone(const grpc::Status& status) {
  absl::Status reason;
  {
    absl::MutexLock lock(&mu_);
    reason = reason_;
  }
  handler_.OnClosed(reason.ok() ? FromGrpc(status) : reason);
}

}  // namespace innerloop::worker
