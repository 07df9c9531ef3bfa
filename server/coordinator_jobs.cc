// What users call.
#include <algorithm>
#include <utility>

#include <google/protobuf/util/time_util.h>

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
  std::string waiting = WaitingFor(*entry.runner);
  row.set_waiting_for(waiting.empty() ? dispatcher_.FetchingFor(*entry.runner) : waiting);
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
    INNERLOOP_RETURN_IF_ERROR(CheckRoomForJob());
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

absl::Status CoordinatorImpl::CheckRoomForJob() const {
  if (stopping_) {
    return Stopping();
  }
  return running_.size() < options_.max_jobs
             ? absl::OkStatus()
             : absl::ResourceExhaustedError(absl::StrCat(
                   running_.size(), " jobs have not ended; the coordinator takes at most ",
                   options_.max_jobs));
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
      // What an ended job may do, it begins anew for.
      return OfJob(id, absl::FailedPreconditionError("it has just ended; ask again"));
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
  absl::Status room;
  {
    absl::MutexLock lock(&mu_);
    // Each holds a checkpoint from here on.
    room = CheckRoom(requested_.size() + preparing_, kMostEvaluations, "evaluations");
    preparing_ += room.ok() ? 1 : 0;
  }
  if (!room.ok()) {
    done(room);
    return [] {};
  }
  absl::StatusOr<std::shared_ptr<EvaluationRun>> run = PrepareEvaluation(request, done);
  {
    absl::MutexLock lock(&mu_);
    --preparing_;
    if (run.ok() && stopping_) {
      run = Stopping();
    }
    if (run.ok()) {
      dispatcher_.AddLane(*run);
      requested_.push_back({*run, std::nullopt});
      Pump();
    }
  }
  if (!run.ok()) {
    done(run.status());
    return [] {};
  }
  return GiveUpOf<EvaluationRun>(*run);
}

absl::StatusOr<std::shared_ptr<EvaluationRun>> CoordinatorImpl::PrepareEvaluation(
    const v1::EvaluateRequest& request, std::function<void(absl::StatusOr<v1::Evaluation>)> done) {
  double weight = 1;
  {
    absl::MutexLock lock(&mu_);
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
  INNERLOOP_RETURN_IF_ERROR(
      CheckProtocol(setup.spec, setup.evaluation.protocol(), data_set, deps_.data_sets));
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
