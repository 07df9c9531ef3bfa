// What users change of jobs that are there already.
#include <optional>
#include <utility>

#include <google/protobuf/util/message_differencer.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/job/job_spec.h"
#include "core/support/status_macros.h"
#include "server/coordinator_impl.h"
#include "server/jobs/job_loader.h"
#include "server/jobs/revision.h"

namespace innerloop::server {
namespace {

using google::protobuf::util::MessageDifferencer;

constexpr uint64_t kMostIterations = 1'000'000'000'000;

// Whether a job that is done has something left to do under another specification.
bool BeginsAgain(const v1::Job& done, const v1::JobSpec& spec) {
  const v1::EvaluationSchedule& before = done.spec().evaluation();
  const v1::EvaluationSchedule& after = spec.evaluation();
  const bool other_final =
      !after.skip_final() &&
      (before.skip_final() || !MessageDifferencer::Equals(before.final(), after.final()));
  return spec.iterations() != done.iteration() || other_final;
}

}  // namespace

absl::StatusOr<v1::Job> CoordinatorImpl::Extend(const std::string& id, uint64_t iterations) {
  if (iterations > kMostIterations) {
    return absl::InvalidArgumentError(
        absl::StrCat("iterations is ", iterations, "; at most 1e12 can be"));
  }
  absl::MutexLock submit_lock(&submit_mu_);
  INNERLOOP_ASSIGN_OR_RETURN(const v1::Job job, Get(id));
  v1::JobSpec spec = job.spec();
  spec.set_iterations(iterations);
  return ReviseTo(id, std::move(spec));
}

absl::StatusOr<v1::Job> CoordinatorImpl::Revise(const std::string& id, const v1::JobSpec& spec) {
  absl::MutexLock submit_lock(&submit_mu_);
  INNERLOOP_ASSIGN_OR_RETURN(v1::Job job, Get(id));
  if (SameButForWords(job.spec(), spec)) {
    return ReviseWords(spec, std::move(job));
  }
  INNERLOOP_ASSIGN_OR_RETURN(v1::JobSpec resolved,
                             PrepareRevision(job.spec(), spec, deps_.data_sets));
  return ReviseTo(id, std::move(resolved));
}

absl::StatusOr<v1::Job> CoordinatorImpl::ReviseWords(const v1::JobSpec& spec, v1::Job job) {
  INNERLOOP_RETURN_IF_ERROR(CheckWords(spec));
  if (spec.name().empty()) {
    return absl::InvalidArgumentError("name is empty");
  }
  {
    absl::MutexLock lock(&mu_);
    INNERLOOP_ASSIGN_OR_RETURN(Entry * entry, Find(job.id()));
    if (entry->runner != nullptr) {
      INNERLOOP_RETURN_IF_ERROR(entry->runner->ReviseWords(spec));
      events_.Bump(job.id());
      job = RowOf(*entry);
    } else {
      *entry->row.mutable_spec() = spec;
      job = entry->row;
      deps_.recorder.UpdateJob(job);
    }
  }
  INNERLOOP_RETURN_IF_ERROR(deps_.recorder.Flush(job.id()));
  return job;
}

absl::StatusOr<v1::Job> CoordinatorImpl::ReviseTo(const std::string& id, v1::JobSpec spec) {
  // It may have ended since the specification was made.
  INNERLOOP_ASSIGN_OR_RETURN(v1::Job job, Get(id));
  if (spec.iterations() < job.spec().iterations()) {
    return absl::InvalidArgumentError(absl::StrCat("iterations is ", spec.iterations(), "; job '",
                                                   job.id(), "' has ", job.spec().iterations(),
                                                   " already, and can only be extended"));
  }
  if (job.state() == v1::JOB_STATE_SUCCEEDED) {
    return ReviseDone(std::move(spec), std::move(job));
  }
  return Change(
      id, [&spec](JobRunner& runner) { return runner.Revise(spec); }, JobEvent::kExtend);
}

absl::StatusOr<v1::Job> CoordinatorImpl::ReviseDone(v1::JobSpec spec, v1::Job row) {
  const bool again = BeginsAgain(row, spec);
  if (again) {
    // Before anything is stored: what is refused must not happen after a restart.
    absl::MutexLock lock(&mu_);
    INNERLOOP_RETURN_IF_ERROR(CheckRoomForJob());
  }
  const std::string doubt = DoubtOf(row.spec(), row.iteration(), spec);
  *row.mutable_spec() = std::move(spec);
  if (!again) {
    INNERLOOP_RETURN_IF_ERROR(deps_.state.UpdateJob(row));
    absl::MutexLock lock(&mu_);
    INNERLOOP_ASSIGN_OR_RETURN(Entry * entry, Find(row.id()));
    entry->row = row;
    return row;
  }
  INNERLOOP_ASSIGN_OR_RETURN(std::optional<v1::DataSetDescription> data_set,
                             FindDataSet(row.spec(), deps_.data_sets));
  INNERLOOP_ASSIGN_OR_RETURN(std::optional<JobRunner::Past> past,
                             LoadPast(row, deps_.state, deps_.checkpoints));
  if (!past.has_value()) {
    return absl::DataLossError(
        absl::StrCat("job '", row.id(), "' has no good checkpoint to go on from"));
  }
  if (!doubt.empty()) {
    row.add_warnings(doubt);
  }
  row.set_state(v1::JOB_STATE_RUNNING);
  row.clear_ended();
  row.clear_final();
  INNERLOOP_RETURN_IF_ERROR(deps_.state.UpdateJob(row));
  const std::string id = row.id();
  std::shared_ptr<JobRunner> runner = MakeRunner(std::move(row), std::move(data_set));
  absl::MutexLock lock(&mu_);
  log_.Add(id, v1::LOG_SEVERITY_INFO,
           absl::StrCat("goes on from iteration ", past->checkpoint.metadata.iteration(), " to ",
                        runner->spec().iterations(), ", revised by a user"));
  runner->Restore(*std::move(past));
  Begin(std::move(runner));
  Pump();
  return RowOf(jobs_.at(id));
}

}  // namespace innerloop::server
