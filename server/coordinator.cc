#include "server/coordinator.h"

#include <algorithm>
#include <utility>

#include <google/protobuf/util/time_util.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/support/status_macros.h"
#include "server/coordinator_impl.h"
#include "server/jobs/job_loader.h"
#include "spdlog/spdlog.h"

namespace innerloop::server {
namespace {

// How often states and numbers of jobs and workers are shown.
constexpr absl::Duration kShowEvery = absl::Seconds(1);
// How long an evaluation or adaptation that a user asked for waits for workers.
constexpr absl::Duration kRequestPatience = absl::Seconds(60);
// What the disk gets at the end of a stop, beyond the stop's patience.
constexpr absl::Duration kDiskPatience = absl::Seconds(5);

}  // namespace

absl::StatusOr<std::unique_ptr<Coordinator>> Coordinator::Create(const Options& options,
                                                                 const Dependencies& dependencies) {
  auto coordinator = std::make_unique<CoordinatorImpl>(options, dependencies);
  INNERLOOP_RETURN_IF_ERROR(coordinator->Load());
  return coordinator;
}

absl::Status CoordinatorImpl::Load() {
  INNERLOOP_RETURN_IF_ERROR(FinishDeletions());
  INNERLOOP_ASSIGN_OR_RETURN(std::vector<v1::Job> rows, deps_.state.Jobs());
  for (v1::Job& row : rows) {
    const std::string id = row.id();
    if (const absl::Status status = LoadJob(row); !status.ok()) {
      // One job's trouble is not the others'.
      log_.Add(id, v1::LOG_SEVERITY_ERROR, absl::StrCat("cannot go on: ", status.message()));
      row.set_state(v1::JOB_STATE_FAILED);
      row.set_failure_code(status.raw_code());
      row.set_failure_message(std::string(status.message()));
      *row.mutable_ended() = google::protobuf::util::TimeUtil::NanosecondsToTimestamp(
          absl::ToUnixNanos(deps_.clock.Now()));
      INNERLOOP_RETURN_IF_ERROR(deps_.state.UpdateJob(row));
      events_.SetEnded(id, true);
      absl::MutexLock lock(&mu_);
      jobs_[id].row = row;
    }
  }
  AdoptStrays();
  // Sent for jobs that were refused then.
  INNERLOOP_ASSIGN_OR_RETURN(const std::vector<std::string> models,
                             deps_.data_sets.models().List());
  return RemoveUnusedModels(models);
}

absl::Status CoordinatorImpl::LoadJob(v1::Job row) {
  const std::string id = row.id();
  const bool ended = JobMachine::Ended(row.state());
  if (!ended && options_.at_rest) {
    // As far as it is told of: rows are stored more rarely than histories.
    INNERLOOP_ASSIGN_OR_RETURN(const uint64_t end, deps_.state.HistoryEnd(id));
    row.set_iteration(std::max(row.iteration(), end));
  }
  if (ended || options_.at_rest) {
    // The folder may have been moved, or restored elsewhere.
    for (v1::CheckpointInfo* info :
         {row.has_last_checkpoint() ? row.mutable_last_checkpoint() : nullptr,
          row.has_best_checkpoint() ? row.mutable_best_checkpoint() : nullptr}) {
      if (info != nullptr) {
        info->set_path(deps_.checkpoints.PathOf(id, info->iteration()));
      }
    }
    events_.SetEnded(id, ended);
    absl::MutexLock lock(&mu_);
    jobs_[id].row = std::move(row);
    return absl::OkStatus();
  }
  INNERLOOP_ASSIGN_OR_RETURN(std::optional<JobRunner::Past> past,
                             LoadPast(row, deps_.state, deps_.checkpoints));
  INNERLOOP_ASSIGN_OR_RETURN(std::optional<v1::DataSetDescription> data_set,
                             FindDataSet(row.spec(), deps_.data_sets));
  INNERLOOP_RETURN_IF_ERROR(CheckModel(row.spec(), deps_.data_sets));
  std::optional<Checkpoint> init_from;
  if (!past.has_value() && !row.spec().init_from().empty()) {
    std::vector<std::string> damaged;
    INNERLOOP_ASSIGN_OR_RETURN(init_from, deps_.checkpoints.Read(row.spec().init_from(), &damaged));
  }
  if (!past.has_value()) {
    INNERLOOP_RETURN_IF_ERROR(deps_.state.TruncateHistory(id, 0));
  }
  std::shared_ptr<JobRunner> runner = MakeRunner(std::move(row), std::move(data_set));
  absl::MutexLock lock(&mu_);
  if (past.has_value()) {
    log_.Add(id, v1::LOG_SEVERITY_INFO,
             absl::StrCat(runner->state() == v1::JOB_STATE_PAUSED ? "is paused at" : "goes on from",
                          " iteration ", past->checkpoint.metadata.iteration(),
                          " after a restart of the coordinator"));
    runner->Restore(*std::move(past));
  } else {
    log_.Add(id, v1::LOG_SEVERITY_INFO,
             "begins after a restart of the coordinator: there is no checkpoint yet");
    runner->Start(std::move(init_from));
  }
  Begin(std::move(runner));
  Pump();
  return absl::OkStatus();
}

CoordinatorImpl::~CoordinatorImpl() {
  // The recorder's thread may still answer.
  absl::MutexLock lock(&mu_);
  closed_ = true;
  const auto quiet = [this]()
                         ABSL_SHARED_LOCKS_REQUIRED(mu_) { return checkpoints_under_way_ == 0; };
  mu_.Await(absl::Condition(&quiet));
}

std::shared_ptr<JobRunner> CoordinatorImpl::MakeRunner(
    v1::Job row, std::optional<v1::DataSetDescription> data_set) {
  std::shared_ptr<JobMetrics> metrics = deps_.metrics.ForJob(row.id());
  return std::make_shared<JobRunner>(
      std::move(row), std::move(data_set),
      JobRunner::Environment{deps_.recorder, deps_.clock, *this, log_, std::move(metrics),
                             options_.max_parameters});
}

void CoordinatorImpl::Begin(std::shared_ptr<JobRunner> runner) {
  Entry& entry = jobs_[runner->id()];
  entry.runner = runner;
  entry.metrics_until.reset();
  events_.SetEnded(runner->id(), false);
  dispatcher_.AddLane(runner);
  running_.push_back(std::move(runner));
  if (stopping_) {
    running_.back()->Suspend();
  }
}

// ---- the pump

bool CoordinatorImpl::DoFloatWork() {
  for (const std::shared_ptr<JobRunner>& candidate : running_) {
    if (!candidate->HasFloatWork()) {
      continue;
    }
    const std::shared_ptr<JobRunner> runner = candidate;
    FloatWork work = runner->TakeFloatWork();
    OuterLoop* loop = runner->outer_loop();
    mu_.Unlock();
    FloatResult result = Do(std::move(work), loop, runner->description().spec(), deps_.clock);
    mu_.Lock();
    runner->Apply(std::move(result));
    return true;
  }
  return false;
}

void CoordinatorImpl::Pump() {
  while (!closed_) {
    const bool worked = DoFloatWork();
    dispatcher_.Dispatch(Now());
    const std::vector<std::shared_ptr<WorkerLink>> links = dispatcher_.TakeTouched();
    const std::vector<std::function<void()>> callbacks = std::exchange(callbacks_, {});
    if (!links.empty() || !callbacks.empty()) {
      mu_.Unlock();
      for (const std::shared_ptr<WorkerLink>& link : links) {
        link->Flush();
      }
      for (const std::function<void()>& callback : callbacks) {
        callback();
      }
      mu_.Lock();
    } else if (!worked) {
      return;
    }
  }
}

void CoordinatorImpl::PumpFor(const std::string& worker_id) {
  if (Worker* worker = registry_.Find(worker_id); worker != nullptr) {
    ++worker->calls;
  }
  Pump();
  // It may be gone by now.
  if (Worker* worker = registry_.Find(worker_id); worker != nullptr) {
    --worker->calls;
    worker->last_heard = Now();
  }
}

// ---- what jobs ask for

void CoordinatorImpl::AddEvaluation(std::shared_ptr<EvaluationRun> run) {
  dispatcher_.AddLane(std::move(run));
}

void CoordinatorImpl::RemoveEvaluation(EvaluationRun& run) { dispatcher_.RemoveLane(&run); }

void CoordinatorImpl::DropItems(JobRunner& job) { dispatcher_.DropItems(&job); }

void CoordinatorImpl::WriteCheckpoint(JobRunner& job, Checkpoint checkpoint, bool best) {
  ++checkpoints_under_way_;
  deps_.recorder.WriteCheckpoint(
      std::move(checkpoint), best, job.spec().checkpoint().keep(),
      [this, id = job.id(), began = Now()](const absl::StatusOr<v1::CheckpointInfo>& info) {
        absl::MutexLock lock(&mu_);
        const auto it = jobs_.find(id);
        if (it != jobs_.end() && it->second.runner != nullptr) {
          it->second.runner->OnCheckpointWritten(info, Now() - began);
        }
        Pump();
        --checkpoints_under_way_;
      });
}

void CoordinatorImpl::End(JobRunner& job, v1::Job row) {
  errands_.Post([this, id = job.id(), row = std::move(row)]() mutable {
    deps_.recorder.UpdateJob(row);
    if (const absl::Status stored = deps_.recorder.Flush(id); !stored.ok()) {
      row.add_warnings(absl::StrCat("that the job ended could not be stored: ", stored.message()));
    }
    absl::MutexLock lock(&mu_);
    Retire(id, std::move(row));
    Pump();
  });
}

void CoordinatorImpl::Retire(const std::string& id, v1::Job row) {
  Entry& entry = jobs_.at(id);
  const std::shared_ptr<JobRunner> runner = std::exchange(entry.runner, nullptr);
  spdlog::info("job {} {} after {} iterations", id, JobMachine::Name(row.state()), row.iteration());
  runner->Ended(row);
  dispatcher_.RemoveLane(runner.get());
  running_.erase(std::find(running_.begin(), running_.end(), runner));
  entry.row = std::move(row);
  entry.metrics_until = Now() + options_.metrics_retention;
  events_.SetEnded(id, true);
}

void CoordinatorImpl::Changed(JobRunner& job) { events_.Bump(job.id()); }

// ---- time

void CoordinatorImpl::Tick() {
  absl::MutexLock lock(&mu_);
  const absl::Duration now = Now();
  for (const std::string& id : registry_.Silent(now, options_.worker_timeout)) {
    spdlog::warn("worker {} was silent for {}: it counts as lost", id,
                 absl::FormatDuration(options_.worker_timeout));
    const std::string why =
        absl::StrCat("no heartbeat for ", absl::FormatDuration(options_.worker_timeout));
    registry_.Find(id)->link->Close(absl::DeadlineExceededError(why));
    dispatcher_.OnGone(id, why, now);
    deps_.metrics.OnWorkerGone(Gone::kSilent);
  }
  registry_.Expire(now);
  for (int hung = dispatcher_.Tick(now); hung > 0; --hung) {
    deps_.metrics.OnWorkerGone(Gone::kHung);
  }
  for (const std::shared_ptr<JobRunner>& runner :
       std::vector<std::shared_ptr<JobRunner>>(running_)) {
    if (runner->Tick()) {
      events_.Bump(runner->id());
    }
  }
  CheckRequested(requested_);
  CheckRequested(adaptations_);
  LetGoOfPins();
  CollectOldJobs();
  for (auto& [id, entry] : jobs_) {
    if (entry.metrics_until.has_value() && now >= *entry.metrics_until) {
      deps_.metrics.Remove(id);
      entry.metrics_until.reset();
    }
  }
  Pump();
  if (!shown_at_.has_value() || now - *shown_at_ >= kShowEvery) {
    shown_at_ = now;
    ShowMetrics();
  }
}

template <typename Run>
void CoordinatorImpl::CheckRequested(std::vector<Requested<Run>>& requested) {
  const absl::Duration now = Now();
  for (const Requested<Run>& copy : std::vector<Requested<Run>>(requested)) {
    const auto it =
        std::find_if(requested.begin(), requested.end(),
                     [&](const Requested<Run>& other) { return other.run == copy.run; });
    const std::string waiting = dispatcher_.WaitingFor(*copy.run);
    if (waiting.empty()) {
      it->stuck_since.reset();
    } else if (!it->stuck_since.has_value()) {
      it->stuck_since = now;
    } else if (now - *it->stuck_since > kRequestPatience) {
      copy.run->Abort(absl::UnavailableError(waiting));
    }
  }
}

void CoordinatorImpl::ShowMetrics() {
  int connected = 0;
  int draining = 0;
  int slots = 0;
  int busy = 0;
  for (const auto& [id, worker] : registry_.workers()) {
    ++(worker.draining ? draining : connected);
    slots += worker.slots;
    busy += worker.busy;
  }
  deps_.metrics.OnWorkers(connected, draining, registry_.lost(), slots, busy);
  std::map<v1::JobState, int> states;
  for (const auto& [id, entry] : jobs_) {
    ++states[entry.runner != nullptr ? entry.runner->state() : entry.row.state()];
  }
  for (int state = v1::JOB_STATE_QUEUED; state <= v1::JOB_STATE_CANCELLED; ++state) {
    deps_.metrics.OnJobs(static_cast<v1::JobState>(state),
                         states[static_cast<v1::JobState>(state)]);
  }
  for (const std::shared_ptr<JobRunner>& runner : running_) {
    runner->ShowProgress(!WaitingFor(*runner).empty());
  }
}

void CoordinatorImpl::Stop(absl::Duration patience) {
  const absl::Time deadline = absl::Now() + patience;
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
    const auto abort = [](const auto all) {
      for (const auto& requested : all) {
        requested.run->Abort(absl::UnavailableError("the coordinator is stopping"));
      }
    };
    abort(requested_);
    abort(adaptations_);
    for (const std::shared_ptr<JobRunner>& runner :
         std::vector<std::shared_ptr<JobRunner>>(running_)) {
      runner->Suspend();
    }
    Pump();
    const auto settled = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
      return std::all_of(running_.begin(), running_.end(),
                         [](const auto& runner) { return runner->Settled(); });
    };
    if (!mu_.AwaitWithDeadline(absl::Condition(&settled), deadline)) {
      for (const std::shared_ptr<JobRunner>& runner :
           std::vector<std::shared_ptr<JobRunner>>(running_)) {
        runner->Hurry();
      }
      Pump();
      // What is left is the float work under way, and the disk's.
      mu_.AwaitWithDeadline(absl::Condition(&settled),
                            deadline + std::min(patience, kDiskPatience));
    }
    v1::Instruction goodbye;
    goodbye.mutable_goodbye()->set_reason("the coordinator is stopping");
    for (auto& [id, worker] : registry_.workers()) {
      worker.draining = true;
      dispatcher_.Send(worker, goodbye);
      worker.link->Close(absl::OkStatus());
    }
    Pump();
  }
  if (const absl::Status stored = deps_.recorder.Flush(); !stored.ok()) {
    spdlog::error("what happened last could not be stored: {}", std::string(stored.message()));
  }
}

}  // namespace innerloop::server
