// What users call.
#include <algorithm>
#include <set>
#include <utility>

#include <google/protobuf/util/time_util.h>
#include <spdlog/spdlog.h>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "core/job/job_spec.h"
#include "core/job/task_view.h"
#include "core/support/status_macros.h"
#include "server/coordinator_impl.h"
#include "server/jobs/job_loader.h"

namespace innerloop::server {
namespace {

constexpr size_t kMostRequestId = 100;
// That users asked for and that have not ended. Each holds a checkpoint's parameters, and a thread.
constexpr size_t kMostEvaluations = 64;

// Eight letters and digits that are hard to mistake for each other.
std::string RandomId() {
  static constexpr absl::string_view kAlphabet = "abcdefghijkmnpqrstuvwxyz23456789";
  absl::BitGen random;
  std::string id;
  for (int i = 0; i < 8; ++i) {
    id += kAlphabet[absl::Uniform<size_t>(random, 0, kAlphabet.size())];
  }
  return id;
}

absl::Status OfJob(const std::string& id, const absl::Status& status) {
  return {status.code(), absl::StrCat("job '", id, "': ", status.message())};
}

absl::Status Stopping() { return absl::UnavailableError("the coordinator is stopping"); }

}  // namespace

JobPlace PlaceOf(const v1::Job& job) {
  return {google::protobuf::util::TimeUtil::TimestampToNanoseconds(job.submitted()), job.id()};
}

absl::StatusOr<CoordinatorImpl::Entry*> CoordinatorImpl::Find(const std::string& id) {
  const auto it = jobs_.find(id);
  if (it == jobs_.end()) {
    return absl::NotFoundError(absl::StrCat("unknown job '", id, "'"));
  }
  return &it->second;
}

v1::Job CoordinatorImpl::RowOf(const Entry& entry) const {
  if (entry.runner == nullptr) {
    return entry.row;
  }
  v1::Job row = entry.runner->Row();
  row.set_waiting_for(WaitingFor(*entry.runner));
  return row;
}

std::string CoordinatorImpl::WaitingFor(const JobRunner& runner) const {
  if (runner.state() == v1::JOB_STATE_PAUSED) {
    return "";
  }
  std::string waiting = dispatcher_.WaitingFor(runner);
  for (const std::shared_ptr<EvaluationRun>& run : runner.evaluations()) {
    if (waiting.empty() && runner.board().in_flight() == 0) {
      waiting = dispatcher_.WaitingFor(*run);
    }
  }
  return waiting;
}

absl::StatusOr<v1::Job> CoordinatorImpl::Submit(const v1::SubmitJobRequest& request) {
  if (request.request_id().size() > kMostRequestId) {
    return absl::InvalidArgumentError(absl::StrCat("request_id has ", request.request_id().size(),
                                                   " characters; at most ", kMostRequestId,
                                                   " can be"));
  }
  absl::MutexLock submit_lock(&submit_mu_);
  if (!request.request_id().empty()) {
    INNERLOOP_ASSIGN_OR_RETURN(const std::optional<std::string> known,
                               deps_.state.JobOfRequest(request.request_id()));
    if (known.has_value()) {
      return Get(*known);
    }
  }
  INNERLOOP_ASSIGN_OR_RETURN(Submission submission,
                             Prepare(request.spec(), deps_.data_sets, deps_.checkpoints));
  v1::Job row;
  row.set_state(v1::JOB_STATE_QUEUED);
  *row.mutable_spec() = std::move(submission.spec);
  row.mutable_warnings()->Add(submission.doubts.begin(), submission.doubts.end());
  *row.mutable_submitted() = google::protobuf::util::TimeUtil::NanosecondsToTimestamp(
      absl::ToUnixNanos(deps_.clock.Now()));
  {
    absl::MutexLock lock(&mu_);
    if (stopping_) {
      return Stopping();
    }
    if (running_.size() >= options_.max_jobs) {
      return absl::ResourceExhaustedError(
          absl::StrCat(running_.size(), " jobs have not ended; the coordinator takes at most ",
                       options_.max_jobs));
    }
    do {
      row.set_id(RandomId());
    } while (jobs_.count(row.id()) > 0);
  }
  INNERLOOP_RETURN_IF_ERROR(deps_.state.InsertJob(row, request.request_id()));
  const std::string id = row.id();
  std::shared_ptr<JobRunner> runner = MakeRunner(std::move(row), std::move(submission.data_set));
  absl::MutexLock lock(&mu_);
  log_.Add(id, v1::LOG_SEVERITY_INFO, absl::StrCat("submitted: ", runner->spec().name()));
  runner->Start(std::move(submission.init_from));
  Begin(std::move(runner));
  Pump();
  return RowOf(jobs_.at(id));
}

absl::StatusOr<v1::Job> CoordinatorImpl::Get(const std::string& id) {
  absl::MutexLock lock(&mu_);
  INNERLOOP_ASSIGN_OR_RETURN(Entry * entry, Find(id));
  return RowOf(*entry);
}

void CoordinatorImpl::List(const JobPlace& after, const std::function<bool(v1::Job)>& take) {
  std::vector<JobPlace> places;
  {
    absl::MutexLock lock(&mu_);
    for (const auto& [id, entry] : jobs_) {
      JobPlace place{
          google::protobuf::util::TimeUtil::TimestampToNanoseconds(
              entry.runner != nullptr ? entry.runner->submitted() : entry.row.submitted()),
          id};
      if (place > after) {
        places.push_back(std::move(place));
      }
    }
  }
  std::sort(places.begin(), places.end());
  // One by one: the lock must not be held for as long as thousands of rows take.
  for (const JobPlace& place : places) {
    absl::StatusOr<v1::Job> row = Get(place.id);
    if (row.ok() && !take(*std::move(row))) {
      return;
    }
  }
}

absl::StatusOr<v1::Job> CoordinatorImpl::Change(
    const std::string& id, const std::function<absl::Status(JobRunner&)>& change, JobEvent event) {
  v1::Job row;
  {
    absl::MutexLock lock(&mu_);
    INNERLOOP_ASSIGN_OR_RETURN(Entry * entry, Find(id));
    if (stopping_) {
      return Stopping();
    }
    if (entry->runner == nullptr) {
      INNERLOOP_RETURN_IF_ERROR(OfJob(id, JobMachine(entry->row.state()).Apply(event, true)));
      return entry->row;
    }
    INNERLOOP_RETURN_IF_ERROR(OfJob(id, change(*entry->runner)));
    events_.Bump(id);
    row = RowOf(*entry);
    Pump();
  }
  INNERLOOP_RETURN_IF_ERROR(deps_.recorder.Flush(id));
  return row;
}

absl::StatusOr<v1::Job> CoordinatorImpl::Pause(const std::string& id) {
  return Change(
      id, [](JobRunner& job) { return job.Pause(); }, JobEvent::kPause);
}

absl::StatusOr<v1::Job> CoordinatorImpl::Resume(const std::string& id) {
  return Change(
      id, [](JobRunner& job) { return job.Resume(); }, JobEvent::kResume);
}

absl::StatusOr<v1::Job> CoordinatorImpl::Cancel(const std::string& id) {
  absl::MutexLock lock(&mu_);
  INNERLOOP_ASSIGN_OR_RETURN(Entry * entry, Find(id));
  if (entry->runner != nullptr) {
    entry->runner->Cancel();
    Pump();
    // Until it is durable. The entry may be gone by then.
    const auto ended = [&]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
      const auto it = jobs_.find(id);
      return it == jobs_.end() || it->second.runner == nullptr;
    };
    mu_.Await(absl::Condition(&ended));
    INNERLOOP_ASSIGN_OR_RETURN(entry, Find(id));
  }
  return entry->row;
}

absl::Status CoordinatorImpl::Delete(const std::string& id) {
  absl::MutexLock submit_lock(&submit_mu_);
  INNERLOOP_RETURN_IF_ERROR(DeleteEnded(id));
  spdlog::info("job {} is removed by a user", id);
  return absl::OkStatus();
}

absl::Status CoordinatorImpl::DeleteEnded(const std::string& id) {
  v1::Job row;
  {
    absl::MutexLock lock(&mu_);
    INNERLOOP_ASSIGN_OR_RETURN(Entry * entry, Find(id));
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
    row = entry->row;
    jobs_.erase(id);
  }
  events_.Remove(id);
  log_.Forget(id);
  deps_.recorder.Forget(id);
  deps_.metrics.Remove(id);
  INNERLOOP_RETURN_IF_ERROR(deps_.state.DeleteJob(id));
  if (row.spec().model().has_torchscript()) {
    INNERLOOP_RETURN_IF_ERROR(RemoveUnusedModels({row.spec().model().torchscript().sha256()}));
  }
  return deps_.checkpoints.DeleteJob(id);
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

uint64_t CoordinatorImpl::AwaitEvents(const std::string& id, uint64_t seen,
                                      absl::Duration timeout) {
  return events_.Await(id, seen, timeout);
}

std::vector<Coordinator::DataSetUse> CoordinatorImpl::UsesOf(const std::string& data_set_sha256) {
  std::vector<DataSetUse> uses;
  absl::MutexLock lock(&mu_);
  const auto add = [&](const std::string& id, const v1::JobSpec& spec, bool ended) {
    if (UsesData(spec.tasks()) && *DataUseOf(spec.tasks()).sha256 == data_set_sha256) {
      uses.push_back({id, ended});
    }
  };
  for (const auto& [id, entry] : jobs_) {
    const bool ended = entry.runner == nullptr;
    add(id, ended ? entry.row.spec() : entry.runner->spec(), ended);
  }
  for (const auto& requested : requested_) {
    add(requested.run->evaluation().job_id(), requested.run->description().spec(),
        /*ended=*/false);
  }
  return uses;
}

// ---- evaluations

absl::Status CoordinatorImpl::CheckRoom(size_t under_way, size_t most,
                                        absl::string_view what) const {
  if (stopping_) {
    return Stopping();
  }
  return under_way < most
             ? absl::OkStatus()
             : absl::ResourceExhaustedError(absl::StrCat(
                   under_way, " ", what, " are under way; the coordinator takes at most ", most,
                   " at a time: ask again when some have ended"));
}

Coordinator::GiveUp CoordinatorImpl::Evaluate(
    const v1::EvaluateRequest& request, std::function<void(absl::StatusOr<v1::Evaluation>)> done) {
  absl::StatusOr<std::shared_ptr<EvaluationRun>> run = PrepareEvaluation(request, done);
  if (!run.ok()) {
    done(run.status());
    return [] {};
  }
  GiveUp give_up = GiveUpOf<EvaluationRun>(*run);
  absl::MutexLock lock(&mu_);
  // Others may have come while the checkpoint was read.
  if (absl::Status room = CheckRoom(requested_.size(), kMostEvaluations, "evaluations");
      !room.ok()) {
    callbacks_.emplace_back([done = std::move(done), room = std::move(room)] { done(room); });
  } else {
    dispatcher_.AddLane(*run);
    requested_.push_back({*std::move(run), std::nullopt});
  }
  Pump();
  return give_up;
}

absl::StatusOr<std::shared_ptr<EvaluationRun>> CoordinatorImpl::PrepareEvaluation(
    const v1::EvaluateRequest& request, std::function<void(absl::StatusOr<v1::Evaluation>)> done) {
  double weight = 1;
  {
    absl::MutexLock lock(&mu_);
    INNERLOOP_RETURN_IF_ERROR(CheckRoom(requested_.size(), kMostEvaluations, "evaluations"));
    INNERLOOP_ASSIGN_OR_RETURN(const Entry* entry, Find(JobOfReference(request.checkpoint())));
    weight = (entry->runner != nullptr ? entry->runner->spec() : entry->row.spec()).weight();
  }
  std::vector<std::string> damaged;
  INNERLOOP_ASSIGN_OR_RETURN(Checkpoint checkpoint,
                             deps_.checkpoints.Read(request.checkpoint(), &damaged));
  EvaluationRun::Setup setup;
  setup.spec = checkpoint.metadata.spec();
  INNERLOOP_ASSIGN_OR_RETURN(const std::optional<v1::DataSetDescription> data_set,
                             FindDataSet(setup.spec, deps_.data_sets));
  INNERLOOP_RETURN_IF_ERROR(CheckModel(setup.spec, deps_.data_sets));
  v1::EvaluationProtocol protocol = setup.spec.evaluation().final();
  protocol.MergeFrom(request.protocol());
  INNERLOOP_ASSIGN_OR_RETURN(
      *setup.evaluation.mutable_protocol(),
      ResolveProtocol(setup.spec, protocol, v1::SPLIT_TEST, /*default_episodes=*/1000, "protocol"));
  setup.evaluation.set_job_id(checkpoint.metadata.job_id());
  setup.evaluation.set_iteration(checkpoint.metadata.iteration());
  setup.data_set = data_set.has_value() ? &*data_set : nullptr;
  setup.parameters = Encode(checkpoint.metadata.iteration(), std::move(checkpoint.parameters));
  setup.weight = weight;
  return std::make_shared<EvaluationRun>(
      std::move(setup),
      [this, done = std::move(done)](EvaluationRun& run, absl::StatusOr<v1::Evaluation> result)
          ABSL_NO_THREAD_SAFETY_ANALYSIS {
            if (result.ok()) {
              deps_.recorder.AddEvaluation(result->job_id(), *result);
            }
            RemoveEvaluation(run);
            callbacks_.emplace_back(
                [done, result = std::move(result)]() mutable { done(std::move(result)); });
            Forget(run, requested_);
          });
}

}  // namespace innerloop::server
