// CoordinatorImpl: ended jobs, how they go, and how some come with nothing but a checkpoint.
#include <set>
#include <utility>

#include <google/protobuf/util/time_util.h>
#include <spdlog/spdlog.h>

#include "absl/strings/str_cat.h"
#include "core/support/status_macros.h"
#include "server/coordinator_impl.h"
#include "server/jobs/job_loader.h"

namespace innerloop::server {

absl::Status CoordinatorImpl::Delete(const std::string& id) {
  absl::MutexLock submit_lock(&submit_mu_);
  INNERLOOP_RETURN_IF_ERROR(DeleteEnded(id));
  spdlog::info("job {} is removed by a user", id);
  return absl::OkStatus();
}

absl::Status CoordinatorImpl::CheckDeletable(const std::string& id) {
  INNERLOOP_ASSIGN_OR_RETURN(const Entry* entry, Find(id));
  if (entry->runner != nullptr) {
    return absl::FailedPreconditionError(absl::StrCat("job '", id, "' is ",
                                                      JobMachine::Name(entry->runner->state()),
                                                      "; cancel it before deleting it"));
  }
  for (const auto& requested : requested_) {
    if (requested.run->evaluation().job_id() == id) {
      return absl::FailedPreconditionError(
          absl::StrCat("an evaluation of job '", id, "' is under way"));
    }
  }
  for (const std::shared_ptr<JobRunner>& runner : running_) {
    const auto from = BeginsFrom(runner->Row());
    if (from.has_value() && from->first == id) {
      return absl::FailedPreconditionError(
          absl::StrCat("job '", runner->id(), "' begins from '", runner->spec().init_from(),
                       "' and has no checkpoint of its own yet; delete job '", id,
                       "' when it has one, or cancel that job before"));
    }
  }
  return absl::OkStatus();
}

absl::Status CoordinatorImpl::DeleteEnded(const std::string& id) {
  // Nobody begins anything with it from now on.
  std::map<std::string, Entry>::node_type taken;
  {
    absl::MutexLock lock(&mu_);
    INNERLOOP_RETURN_IF_ERROR(CheckDeletable(id));
    taken = jobs_.extract(id);
  }
  deps_.recorder.Forget(id);
  if (absl::Status deleted = DeleteStored(id); !deleted.ok()) {
    absl::MutexLock lock(&mu_);
    jobs_.insert(std::move(taken));
    return deleted;
  }
  events_.Remove(id);
  log_.Forget(id);
  deps_.metrics.Remove(id);
  absl::Status status = deps_.checkpoints.DeleteJob(id);
  const v1::ModelSpec& model = taken.mapped().row.spec().model();
  if (model.has_torchscript()) {
    status.Update(RemoveUnusedModels({model.torchscript().sha256()}));
  }
  return status;
}

absl::Status CoordinatorImpl::DeleteStored(const std::string& id) {
  absl::Status deleted = deps_.checkpoints.SetAside(id);
  if (deleted.ok()) {
    deleted = deps_.state.DeleteJob(id);
  }
  if (!deleted.ok()) {
    if (const absl::Status back = deps_.checkpoints.PutBack(id); !back.ok()) {
      spdlog::error("the checkpoints of job {} are out of reach, and go at the next start: {}", id,
                    back.ToString());
    }
  }
  return deleted;
}

absl::Status CoordinatorImpl::FinishDeletions() {
  for (const std::string& id : deps_.checkpoints.JobsSetAside()) {
    INNERLOOP_RETURN_IF_ERROR(deps_.state.DeleteJob(id));
    if (const absl::Status removed = deps_.checkpoints.DeleteJob(id); !removed.ok()) {
      spdlog::error("what is left of job {}, which was deleted, stays: {}", id, removed.ToString());
    }
  }
  return absl::OkStatus();
}

absl::Status CoordinatorImpl::RemoveUnusedModels(const std::vector<std::string>& sha256s) {
  std::set<std::string> used;
  {
    absl::MutexLock lock(&mu_);
    for (const auto& [id, entry] : jobs_) {
      used.insert((entry.runner == nullptr ? entry.row.spec() : entry.runner->spec())
                      .model()
                      .torchscript()
                      .sha256());
    }
  }
  for (const std::string& sha256 : sha256s) {
    if (used.count(sha256) == 0) {
      INNERLOOP_RETURN_IF_ERROR(deps_.data_sets.models().Remove(sha256));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<v1::Job> CoordinatorImpl::Adopt(Checkpoint checkpoint) {
  const v1::CheckpointMetadata& metadata = checkpoint.metadata;
  v1::Job row;
  row.set_id(metadata.job_id());
  row.set_state(v1::JOB_STATE_SUCCEEDED);
  *row.mutable_spec() = metadata.spec();
  row.set_iteration(metadata.iteration());
  row.set_training_seconds(metadata.training_seconds());
  row.set_fingerprint(metadata.fingerprint());
  row.set_parameters(static_cast<uint64_t>(checkpoint.layout.scalars()));
  row.set_skipped_iterations(metadata.iteration() - metadata.optimizer_steps());
  *row.mutable_submitted() = google::protobuf::util::TimeUtil::NanosecondsToTimestamp(
      absl::ToUnixNanos(deps_.clock.Now()));
  *row.mutable_ended() = row.submitted();
  INNERLOOP_ASSIGN_OR_RETURN(const std::vector<v1::CheckpointInfo> infos,
                             deps_.checkpoints.List(row.id()));
  if (!infos.empty()) {
    *row.mutable_last_checkpoint() = infos.back();
  }
  absl::MutexLock submit_lock(&submit_mu_);
  INNERLOOP_RETURN_IF_ERROR(deps_.state.InsertJob(row, ""));
  events_.SetEnded(row.id(), true);
  absl::MutexLock lock(&mu_);
  jobs_[row.id()].row = row;
  return row;
}

void CoordinatorImpl::AdoptStrays() {
  for (const std::string& id : deps_.checkpoints.Jobs()) {
    {
      absl::MutexLock lock(&mu_);
      if (jobs_.count(id) != 0) {
        continue;
      }
    }
    absl::StatusOr<Checkpoint> checkpoint = deps_.checkpoints.Read(id, /*damaged=*/nullptr);
    if (absl::IsNotFound(checkpoint.status())) {
      continue;
    }
    absl::Status adopted = checkpoint.status();
    if (adopted.ok() && checkpoint->metadata.job_id() != id) {
      adopted = absl::InvalidArgumentError(
          absl::StrCat("they are those of a job '", checkpoint->metadata.job_id(), "'"));
    }
    if (adopted.ok()) {
      adopted = ResolveSent(checkpoint->metadata);
    }
    if (adopted.ok()) {
      adopted = Adopt(*std::move(checkpoint)).status();
    }
    if (adopted.ok()) {
      log_.Add(id, v1::LOG_SEVERITY_WARNING,
               "was not in the database; it is there again as its last checkpoint tells of it");
    } else {
      spdlog::error("job {} is not in the database, and its checkpoints cannot be taken up: {}", id,
                    adopted.ToString());
    }
  }
}

}  // namespace innerloop::server
