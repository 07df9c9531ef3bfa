#include <functional>
#include <limits>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/job/task_view.h"
#include "server/service/await.h"
#include "server/service/job_watch.h"
#include "server/service/request_checks.h"
#include "server/service/training_service.h"

namespace innerloop::server {
namespace {

// At most ten messages a second go to a watcher, so that it costs the training nothing.
constexpr absl::Duration kBetweenMessages = absl::Milliseconds(100);
// How long it takes at most until a caller that went away is noticed.
constexpr absl::Duration kPatience = absl::Milliseconds(500);

// A specification is sent to workers and stored in every checkpoint, too.
constexpr size_t kMostSpecBytes = size_t{2} << 20;
constexpr size_t kPageBytes = size_t{1} << 20;

absl::Status Stopping() { return absl::UnavailableError("the coordinator is stopping"); }

absl::Status CheckSpec(bool given, const v1::JobSpec& spec) {
  if (!given) {
    return absl::InvalidArgumentError("spec is missing");
  }
  if (spec.ByteSizeLong() > kMostSpecBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("spec has ", spec.ByteSizeLong(), " bytes; at most ", kMostSpecBytes,
                     " are taken: do its lists of classes name that many?"));
  }
  return absl::OkStatus();
}

// "NANOSECONDS-ID" of the last job of a page.
std::string PageToken(const JobPlace& last) {
  return absl::StrCat(last.submitted_nanos, "-", last.id);
}

absl::StatusOr<JobPlace> ParsePageToken(const std::string& token) {
  JobPlace place;
  const size_t dash = token.find('-');
  if (token.empty()) {
    place.submitted_nanos = std::numeric_limits<int64_t>::min();
  } else if (dash == std::string::npos ||
             !absl::SimpleAtoi(token.substr(0, dash), &place.submitted_nanos)) {
    return absl::InvalidArgumentError(
        "page_token is not a next_page_token of an answer of ListJobs");
  } else {
    place.id = token.substr(dash + 1);
  }
  return place;
}

// Thousands of classes a job would fill pages.
void LeaveOutNames(v1::TaskSource& tasks) {
  for (v1::ClassSplit* split :
       {tasks.has_episodes() ? tasks.mutable_episodes()->mutable_split() : nullptr,
        tasks.has_grouped() ? tasks.mutable_grouped()->mutable_split() : nullptr}) {
    if (split != nullptr && split->has_names()) {
      split->mutable_names()->Clear();
    }
  }
}

}  // namespace

TrainingService::TrainingService(Options options, const Parts& parts)
    : options_(std::move(options)), parts_(parts) {}

grpc::Status TrainingService::SubmitJob(grpc::ServerContext* /*context*/,
                                        const v1::SubmitJobRequest* request, v1::Job* response) {
  if (absl::Status status = CheckLength("request_id", request->request_id(), kMaxNameLength);
      !status.ok()) {
    return ToGrpc(status);
  }
  if (absl::Status status = CheckSpec(request->has_spec(), request->spec()); !status.ok()) {
    return ToGrpc(status);
  }
  return Answer(parts_.coordinator.Submit(*request), response);
}

grpc::Status TrainingService::GetJob(grpc::ServerContext* /*context*/,
                                     const v1::GetJobRequest* request, v1::Job* response) {
  const absl::Status status = CheckRequired("id", request->id(), kMaxIdLength);
  return status.ok() ? Answer(parts_.coordinator.Get(request->id()), response) : ToGrpc(status);
}

grpc::Status TrainingService::ListJobs(grpc::ServerContext* context,
                                       const v1::ListJobsRequest* request,
                                       v1::ListJobsResponse* response) {
  const absl::StatusOr<JobPlace> after = ParsePageToken(request->page_token());
  if (!after.ok()) {
    return ToGrpc(after.status());
  }
  size_t bytes = 0;
  JobPlace last;
  parts_.coordinator.List(*after, [&](v1::Job job) {
    LeaveOutNames(*job.mutable_spec()->mutable_tasks());
    bytes += job.ByteSizeLong();
    if (bytes > kPageBytes && response->jobs_size() > 0) {
      response->set_next_page_token(PageToken(last));
      return false;
    }
    last = PlaceOf(job);
    *response->add_jobs() = std::move(job);
    return !context->IsCancelled();
  });
  return grpc::Status::OK;
}

grpc::Status TrainingService::CancelJob(grpc::ServerContext* /*context*/,
                                        const v1::CancelJobRequest* request, v1::Job* response) {
  const absl::Status status = CheckRequired("id", request->id(), kMaxIdLength);
  return status.ok() ? Answer(parts_.coordinator.Cancel(request->id()), response) : ToGrpc(status);
}

grpc::Status TrainingService::PauseJob(grpc::ServerContext* /*context*/,
                                       const v1::PauseJobRequest* request, v1::Job* response) {
  const absl::Status status = CheckRequired("id", request->id(), kMaxIdLength);
  return status.ok() ? Answer(parts_.coordinator.Pause(request->id()), response) : ToGrpc(status);
}

grpc::Status TrainingService::ResumeJob(grpc::ServerContext* /*context*/,
                                        const v1::ResumeJobRequest* request, v1::Job* response) {
  const absl::Status status = CheckRequired("id", request->id(), kMaxIdLength);
  return status.ok() ? Answer(parts_.coordinator.Resume(request->id()), response) : ToGrpc(status);
}

grpc::Status TrainingService::ExtendJob(grpc::ServerContext* /*context*/,
                                        const v1::ExtendJobRequest* request, v1::Job* response) {
  const absl::Status status = CheckRequired("id", request->id(), kMaxIdLength);
  return status.ok()
             ? Answer(parts_.coordinator.Extend(request->id(), request->iterations()), response)
             : ToGrpc(status);
}

grpc::Status TrainingService::ReviseJob(grpc::ServerContext* /*context*/,
                                        const v1::ReviseJobRequest* request, v1::Job* response) {
  if (absl::Status status = CheckRequired("id", request->id(), kMaxIdLength); !status.ok()) {
    return ToGrpc(status);
  }
  const absl::Status status = CheckSpec(request->has_spec(), request->spec());
  return status.ok() ? Answer(parts_.coordinator.Revise(request->id(), request->spec()), response)
                     : ToGrpc(status);
}

grpc::Status TrainingService::DeleteJob(grpc::ServerContext* /*context*/,
                                        const v1::DeleteJobRequest* request,
                                        v1::DeleteJobResponse* /*response*/) {
  const absl::Status status = CheckRequired("id", request->id(), kMaxIdLength);
  return ToGrpc(status.ok() ? parts_.coordinator.Delete(request->id()) : status);
}

grpc::Status TrainingService::WatchJob(grpc::ServerContext* context,
                                       const v1::WatchJobRequest* request,
                                       grpc::ServerWriter<v1::JobEvents>* writer) {
  if (const absl::Status status = CheckRequired("id", request->id(), kMaxIdLength); !status.ok()) {
    return ToGrpc(status);
  }
  if (const absl::Status status = CheckNumber("from_iteration", request->from_iteration());
      !status.ok()) {
    return ToGrpc(status);
  }
  JobWatch watch(parts_, request->id(), request->from_iteration());
  uint64_t seen = 0;
  while (!context->IsCancelled()) {
    if (stopping_.HasBeenNotified()) {
      return ToGrpc(Stopping());
    }
    if (const absl::Status status = parts_.gate.CheckAgain(*context); !status.ok()) {
      return ToGrpc(status);
    }
    seen = parts_.coordinator.AwaitEvents(request->id(), seen, kPatience);
    const absl::StatusOr<v1::JobEvents> events = watch.Next();
    if (!events.ok()) {
      return ToGrpc(events.status());
    }
    const bool empty =
        events->iterations().empty() && events->evaluations().empty() && !events->has_job();
    if (!empty && !writer->Write(*events)) {
      break;
    }
    if (watch.ended()) {
      return grpc::Status::OK;
    }
    if (!watch.more()) {
      stopping_.WaitForNotificationWithTimeout(kBetweenMessages);
    }
  }
  return grpc::Status::CANCELLED;
}

grpc::Status TrainingService::Evaluate(grpc::ServerContext* context,
                                       const v1::EvaluateRequest* request,
                                       v1::Evaluation* response) {
  if (const absl::Status status =
          CheckRequired("checkpoint", request->checkpoint(), kMaxNameLength);
      !status.ok()) {
    return ToGrpc(status);
  }
  return Answer(
      Await<v1::Evaluation>(*context, stopping_,
                            [&](std::function<void(absl::StatusOr<v1::Evaluation>)> done) {
                              return parts_.coordinator.Evaluate(*request, std::move(done));
                            }),
      response);
}

grpc::Status TrainingService::ListWorkers(grpc::ServerContext* /*context*/,
                                          const v1::ListWorkersRequest* /*request*/,
                                          v1::ListWorkersResponse* response) {
  for (v1::WorkerInfo& worker : parts_.coordinator.Workers()) {
    *response->add_workers() = std::move(worker);
  }
  return grpc::Status::OK;
}

}  // namespace innerloop::server
