#include "server/service/stream_link.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/rpc/status.h"

namespace innerloop::server {

void StreamLink::Send(const v1::Instruction& instruction) {
  absl::MutexLock lock(&mu_);
  if (!closing_.has_value()) {
    queue_.Push(instruction);
  }
}

void StreamLink::SendBuffer(std::shared_ptr<const EncodedBuffer> buffer, uint64_t transfer) {
  absl::MutexLock lock(&mu_);
  if (!closing_.has_value()) {
    queue_.PushFrames(std::move(buffer), transfer);
  }
}

void StreamLink::Flush() {
  absl::MutexLock lock(&mu_);
  WriteNext();
}

void StreamLink::Forget(uint64_t transfer) {
  absl::MutexLock lock(&mu_);
  forgotten_.push_back(transfer);
}

std::vector<uint64_t> StreamLink::TakeForgotten() {
  absl::MutexLock lock(&mu_);
  return std::exchange(forgotten_, {});
}

void StreamLink::WriteNext() {
  if (reactor_ == nullptr || writing_ || finished_) {
    return;
  }
  if (!queue_.empty()) {
    batch_ = queue_.Next();
    metrics_.OnBytes(batch_.Length(), 0);
    writing_ = true;
    reactor_->StartWrite(&batch_);
  } else if (closing_.has_value()) {
    finished_ = true;
    reactor_->Finish(ToGrpc(*closing_));
  }
}

void StreamLink::Close(const absl::Status& reason) {
  absl::MutexLock lock(&mu_);
  if (closing_.has_value()) {
    return;
  }
  closing_ = reason;
  if (!reason.ok()) {
    queue_.Clear();
  }
  WriteNext();
  if (!finished_ && reactor_ != nullptr) {
    // A worker that takes nothing any more would keep the stream for ever.
    close_alarm_.Set(absl::ToChronoTime(absl::Now() + patience_),
                     [weak = weak_from_this()](bool due) {
                       const std::shared_ptr<StreamLink> link = weak.lock();
                       if (!due || link == nullptr) {
                         return;
                       }
                       absl::MutexLock lock(&link->mu_);
                       if (link->reactor_ != nullptr && !link->finished_) {
                         link->context_->TryCancel();
                       }
                     });
  }
}

void StreamLink::ExpectHello() {
  hello_alarm_.Set(absl::ToChronoTime(absl::Now() + patience_),
                   [weak = weak_from_this()](bool due) {
                     const std::shared_ptr<StreamLink> link = weak.lock();
                     if (!due || link == nullptr) {
                       return;
                     }
                     {
                       absl::MutexLock lock(&link->mu_);
                       if (link->greeted_) {
                         return;
                       }
                     }
                     link->Close(absl::DeadlineExceededError(
                         absl::StrCat("no Hello within ", absl::FormatDuration(link->patience_))));
                   });
}

void StreamLink::Greeted() {
  {
    absl::MutexLock lock(&mu_);
    greeted_ = true;
  }
  hello_alarm_.Cancel();
}

void StreamLink::OnWriteDone(bool ok) {
  absl::MutexLock lock(&mu_);
  writing_ = false;
  batch_.Clear();
  if (!ok) {
    // The stream is broken; the read that fails with it ends it.
    queue_.Clear();
  }
  WriteNext();
}

void StreamLink::Detach() {
  absl::MutexLock lock(&mu_);
  reactor_ = nullptr;
  context_ = nullptr;
  queue_.Clear();
  closing_ = absl::UnavailableError("the stream has ended");
}

}  // namespace innerloop::server
