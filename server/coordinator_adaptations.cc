// CoordinatorImpl: adaptations to users' own tasks.
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/job/adaptation.h"
#include "core/support/status_macros.h"
#include "server/coordinator_impl.h"
#include "server/jobs/job_loader.h"

namespace innerloop::server {
namespace {

// That have not ended. The caller of each holds a thread of the server's, and so does that of an
// evaluation; enough are left for other calls.
constexpr size_t kMostAdaptations = 128;

// Its own for each checkpoint, so that one version of parameters belongs to it.
std::string AdaptationWireId(const std::string& reference) {
  return absl::StrCat(reference, "@adapt");
}

absl::StatusOr<std::shared_ptr<const PinnedCheckpoint>> MakePin(std::string reference,
                                                                Checkpoint checkpoint,
                                                                double weight) {
  auto pin = std::make_shared<PinnedCheckpoint>();
  INNERLOOP_ASSIGN_OR_RETURN(pin->model, DescribeModel(checkpoint.metadata));
  pin->description.set_job_id(AdaptationWireId(reference));
  pin->reference = std::move(reference);
  pin->parameters = Encode(checkpoint.metadata.iteration(), std::move(checkpoint.parameters));
  if (checkpoint.metadata.has_data_set()) {
    *pin->description.mutable_data_set() = std::move(*checkpoint.metadata.mutable_data_set());
  }
  *pin->description.mutable_spec() = std::move(*checkpoint.metadata.mutable_spec());
  pin->weight = weight;
  return pin;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const PinnedCheckpoint>> CoordinatorImpl::Pin(
    const std::string& checkpoint) {
  double weight = 1;
  {
    absl::MutexLock lock(&mu_);
    INNERLOOP_ASSIGN_OR_RETURN(const Entry* entry, Find(JobOfReference(checkpoint)));
    weight = (entry->runner != nullptr ? entry->runner->spec() : entry->row.spec()).weight();
  }
  INNERLOOP_ASSIGN_OR_RETURN(const std::string reference, deps_.checkpoints.Resolve(checkpoint));
  {
    absl::MutexLock lock(&mu_);
    if (auto pin = pinned_.Find(reference, Now()); pin != nullptr) {
      return pin;
    }
  }
  INNERLOOP_ASSIGN_OR_RETURN(Checkpoint read, deps_.checkpoints.Read(reference, nullptr));
  INNERLOOP_RETURN_IF_ERROR(CheckModel(read.metadata.spec(), deps_.data_sets));
  INNERLOOP_ASSIGN_OR_RETURN(auto pin, MakePin(reference, std::move(read), weight));
  absl::MutexLock lock(&mu_);
  dispatcher_.Keep(pin->description.job_id());
  pin = pinned_.Add(std::move(pin), Now());
  LetGoOfPins();
  Pump();
  return pin;
}

void CoordinatorImpl::LetGoOfPins() {
  for (const auto& pin : pinned_.Expire(Now())) {
    dispatcher_.LetGo(pin->description.job_id());
  }
}

Coordinator::GiveUp CoordinatorImpl::Adapt(std::shared_ptr<const PinnedCheckpoint> checkpoint,
                                           v1::AdaptationTask task,
                                           std::function<void(absl::StatusOr<Adapted>)> done) {
  auto run = std::make_shared<AdaptationRun>(
      std::move(checkpoint), std::move(task),
      [this, done](AdaptationRun& run, absl::StatusOr<Adapted> result)
          ABSL_NO_THREAD_SAFETY_ANALYSIS {
            dispatcher_.RemoveLane(&run);
            // std::function wants what can be copied.
            callbacks_.emplace_back([done, result = std::make_shared<absl::StatusOr<Adapted>>(
                                               std::move(result))] { done(std::move(*result)); });
            Forget(run, adaptations_);
          });
  GiveUp give_up = GiveUpOf<AdaptationRun>(run);
  absl::MutexLock lock(&mu_);
  if (absl::Status room = CheckRoom(adaptations_.size(), kMostAdaptations, "adaptations");
      !room.ok()) {
    callbacks_.emplace_back([done, room = std::move(room)] { done(room); });
  } else {
    dispatcher_.AddLane(run);
    adaptations_.push_back({std::move(run), std::nullopt});
  }
  Pump();
  return give_up;
}

}  // namespace innerloop::server
