// A call that waits for something that the coordinator does. Header-only.
#pragma once

#include <functional>
#include <memory>
#include <utility>

#include <grpcpp/server_context.h>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"

namespace innerloop::server {

// Calls `start` with a callback and waits until that is called, at most until the caller went away
// (CANCELLED; noticed after half a second) or the coordinator stops (UNAVAILABLE). Then it calls
// what `start` returned, which gives up what was started. The callback may be called later, too.
template <typename T>
absl::StatusOr<T> Await(
    const grpc::ServerContext& context, const absl::Notification& stopping,
    absl::FunctionRef<std::function<void()>(std::function<void(absl::StatusOr<T>)>)> start) {
  struct Waiting {
    absl::Mutex mutex;
    bool done ABSL_GUARDED_BY(mutex) = false;
    absl::StatusOr<T> result ABSL_GUARDED_BY(mutex);
  };
  const auto waiting = std::make_shared<Waiting>();
  const std::function<void()> give_up = start([waiting](absl::StatusOr<T> result) {
    const absl::MutexLock lock(&waiting->mutex);
    waiting->result = std::move(result);
    waiting->done = true;
  });
  absl::Status over;
  {
    const absl::MutexLock lock(&waiting->mutex);
    while (over.ok() && !waiting->mutex.AwaitWithTimeout(absl::Condition(&waiting->done),
                                                         absl::Milliseconds(500))) {
      if (context.IsCancelled()) {
        over = absl::CancelledError("the caller went away");
      } else if (stopping.HasBeenNotified()) {
        over = absl::UnavailableError("the coordinator is stopping");
      }
    }
    if (over.ok()) {
      return std::move(waiting->result);
    }
  }
  // Without the lock: it calls back.
  give_up();
  return over;
}

}  // namespace innerloop::server
