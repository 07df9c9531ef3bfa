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
// (CANCELLED; noticed after half a second) or the coordinator stops (UNAVAILABLE). The callback may
// be called later, too.
template <typename T>
absl::StatusOr<T> Await(const grpc::ServerContext& context, const absl::Notification& stopping,
                        absl::FunctionRef<void(std::function<void(absl::StatusOr<T>)>)> start) {
  struct Waiting {
    absl::Mutex mutex;
    bool done ABSL_GUARDED_BY(mutex) = false;
    absl::StatusOr<T> result ABSL_GUARDED_BY(mutex);
  };
  const auto waiting = std::make_shared<Waiting>();
  start([waiting](absl::StatusOr<T> result) {
    const absl::MutexLock lock(&waiting->mutex);
    waiting->result = std::move(result);
    waiting->done = true;
  });
  const absl::MutexLock lock(&waiting->mutex);
  while (
      !waiting->mutex.AwaitWithTimeout(absl::Condition(&waiting->done), absl::Milliseconds(500))) {
    if (context.IsCancelled()) {
      return absl::CancelledError("the caller went away");
    }
    if (stopping.HasBeenNotified()) {
      return absl::UnavailableError("the coordinator is stopping");
    }
  }
  return std::move(waiting->result);
}

}  // namespace innerloop::server
