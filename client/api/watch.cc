// Watching: one stream after the other until the job has ended.
#include <set>
#include <utility>

#include "client/api/retry.h"
#include "client/api/training_client.h"
#include "core/support/status_macros.h"

namespace innerloop::client {
namespace {

// Lets each iteration and each evaluation through once, whatever streams repeat. A coordinator that
// was killed computes some iterations again, to the same bits. One thread only.
class NewEvents {
 public:
  explicit NewEvents(uint64_t from) : next_(from) {}
  uint64_t next() const { return next_; }

  v1::JobEvents Of(v1::JobEvents events) {
    auto& iterations = *events.mutable_iterations();
    int kept = 0;
    for (int i = 0; i < iterations.size(); ++i) {
      if (iterations[i].iteration() >= next_) {
        next_ = iterations[i].iteration() + 1;
        iterations.SwapElements(kept++, i);
      }
    }
    iterations.DeleteSubrange(kept, iterations.size() - kept);

    auto& evaluations = *events.mutable_evaluations();
    kept = 0;
    for (int i = 0; i < evaluations.size(); ++i) {
      if (evaluated_.emplace(evaluations[i].iteration(), evaluations[i].final()).second) {
        evaluations.SwapElements(kept++, i);
      }
    }
    evaluations.DeleteSubrange(kept, evaluations.size() - kept);
    return events;
  }

 private:
  uint64_t next_;
  std::set<std::pair<uint64_t, bool>> evaluated_;
};

}  // namespace

absl::StatusOr<v1::Job> TrainingClient::Watch(const std::string& id, uint64_t from_iteration,
                                              const Watcher& watcher) {
  Retry retry = connection_.Patient();
  NewEvents fresh(from_iteration);
  while (true) {
    v1::Job job;
    grpc::ClientContext context;
    absl::Status status;
    {
      const Cancellation::Scope scope(connection_.cancellation(), context);
      v1::WatchJobRequest request;
      request.set_id(id);
      request.set_from_iteration(fresh.next());
      const auto stream = stub_->WatchJob(&context, request);
      v1::JobEvents events;
      while (stream->Read(&events)) {
        retry.Progress();
        if (events.has_job()) {
          job = events.job();
        }
        watcher.on_events(fresh.Of(std::move(events)));
        if (watcher.enough && !HasEnded(job.state()) && watcher.enough()) {
          context.TryCancel();
          return job;
        }
      }
      status = connection_.Convert(stream->Finish());
    }
    if (status.ok() && HasEnded(job.state())) {
      return job;
    }
    if (status.ok()) {
      status = absl::UnavailableError("the coordinator ended the watch before the job had ended");
    }
    if (absl::IsUnavailable(status) && watcher.on_break) {
      watcher.on_break(status);
    }
    INNERLOOP_RETURN_IF_ERROR(retry.Again(status));
  }
}

}  // namespace innerloop::client
