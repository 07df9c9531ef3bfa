// How a Ctrl-C, or a cluster that gave up, reaches calls that wait.
#pragma once

#include <vector>

#include <grpcpp/client_context.h>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace innerloop::client {

// Ends the calls and the waits that were given it, with a reason. Thread-safe.
class Cancellation {
 public:
  // The first reason counts; `why` is not OK.
  void Cancel(absl::Status why);
  // OK until Cancel.
  absl::Status status() const;
  // Waits; returns early, with the reason, when cancelled.
  absl::Status Sleep(absl::Duration duration) const;

  // Makes a call end with Cancel while the scope lives. The context must outlive it.
  class Scope {
   public:
    Scope(Cancellation& cancellation, grpc::ClientContext& context);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Cancellation& cancellation_;
    grpc::ClientContext& context_;
  };

 private:
  mutable absl::Mutex mu_;
  absl::Status why_ ABSL_GUARDED_BY(mu_);
  std::vector<grpc::ClientContext*> calls_ ABSL_GUARDED_BY(mu_);
};

}  // namespace innerloop::client
