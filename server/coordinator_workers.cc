// What worker streams call.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/coordinator_impl.h"
#include "server/jobs/job_loader.h"
#include "spdlog/spdlog.h"

namespace innerloop::server {
namespace {

constexpr uint32_t kProtocolVersion = 1;
constexpr uint32_t kMostSlots = 1024;
constexpr size_t kMostText = 200;

absl::Status CheckHello(const v1::Hello& hello) {
  if (hello.protocol_version() != kProtocolVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("the worker speaks version ", hello.protocol_version(),
                     " of the protocol, the coordinator ", kProtocolVersion));
  }
  if (hello.slots() < 1 || hello.slots() > kMostSlots) {
    return absl::InvalidArgumentError(
        absl::StrCat("slots is ", hello.slots(), "; 1..", kMostSlots, " can be"));
  }
  const v1::NumericsFingerprint& fingerprint = hello.fingerprint();
  for (const std::string* text :
       {&hello.name(), &hello.version(), &hello.metrics_address(), &fingerprint.numerics_version(),
        &fingerprint.libtorch(), &fingerprint.device(), &fingerprint.math()}) {
    if (text->size() > kMostText) {
      return absl::InvalidArgumentError(
          absl::StrCat("name, version, metrics_address or a field of fingerprint has ",
                       text->size(), " characters; at most ", kMostText, " can be"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> CoordinatorImpl::Connect(const v1::Hello& hello,
                                                     std::shared_ptr<WorkerLink> link) {
  if (absl::Status status = CheckHello(hello); !status.ok()) {
    return status;
  }
  absl::MutexLock lock(&mu_);
  if (stopping_) {
    return absl::UnavailableError("the coordinator is stopping");
  }
  Worker& worker = registry_.Add(hello, std::move(link), Now(), deps_.clock.Now());
  spdlog::info("worker {} ('{}') connected with {} slots, fingerprint {}", worker.id, hello.name(),
               worker.slots, worker.fingerprint);
  deps_.metrics.OnWorkerConnected();
  v1::Instruction welcome;
  welcome.mutable_welcome()->set_worker_id(worker.id);
  // Two of three may be late before it counts as lost.
  welcome.mutable_welcome()->set_heartbeat_seconds(absl::ToDoubleSeconds(options_.worker_timeout) /
                                                   4);
  dispatcher_.Send(worker, welcome);
  const std::string id = worker.id;
  PumpFor(id);
  return id;
}

void CoordinatorImpl::Disconnect(const std::string& worker_id) {
  absl::MutexLock lock(&mu_);
  if (const Worker* worker = registry_.Find(worker_id); worker != nullptr) {
    spdlog::info("worker {} disconnected", worker_id);
    deps_.metrics.OnWorkerGone(worker->draining ? Gone::kLeft : Gone::kLost);
  }
  dispatcher_.OnGone(worker_id, "the connection broke", Now());
  Pump();
}

void CoordinatorImpl::OnAlive(const std::string& worker_id) {
  absl::MutexLock lock(&mu_);
  if (Worker* worker = registry_.Find(worker_id); worker != nullptr) {
    worker->last_heard = Now();
  }
}

void CoordinatorImpl::OnReport(const std::string& worker_id, const v1::Report& report) {
  absl::MutexLock lock(&mu_);
  Worker* worker = registry_.Find(worker_id);
  if (worker == nullptr) {
    return;
  }
  worker->last_heard = Now();
  switch (report.kind_case()) {
    case v1::Report::kResult:
      if (dispatcher_.OnResult(*worker, report.result(), Now())) {
        return;  // its buffer comes next, and then its slot gets what follows from it
      }
      break;
    case v1::Report::kFailed:
      dispatcher_.OnFailed(*worker, report.failed());
      break;
    case v1::Report::kReturned:
      dispatcher_.OnReturned(*worker, report.returned().work_id());
      break;
    case v1::Report::kDraining:
      worker->draining = true;
      break;
    case v1::Report::kDeclined:
      dispatcher_.OnDeclined(*worker, report.declined());
      break;
    case v1::Report::kNotice:
      OnNotice(*worker, report.notice());
      return;
    case v1::Report::kHeartbeat:
      OnHeartbeat(*worker, report.heartbeat());
      return;
    case v1::Report::kHello:
    case v1::Report::kFrame:
    case v1::Report::KIND_NOT_SET:
      return;
  }
  PumpFor(worker_id);
}

void CoordinatorImpl::OnHeartbeat(Worker& worker, const v1::Heartbeat& heartbeat) {
  if (worker.fetches.empty() && heartbeat.fetches().empty()) {
    return;
  }
  dispatcher_.OnFetches(worker, heartbeat, Now());
  for (const std::shared_ptr<JobRunner>& runner : running_) {
    events_.Bump(runner->id());  // what it waits for may be another thing now
  }
}

void CoordinatorImpl::OnNotice(const Worker& worker, const v1::JobNotice& notice) {
  // Of evaluations, whose wire id is another, what is usual goes without saying: the training said
  // the same.
  const std::string job_id = JobOfReference(notice.job_id());
  const bool usual = notice.severity() < v1::LOG_SEVERITY_WARNING;
  if (worker.jobs.count(notice.job_id()) == 0 || jobs_.count(job_id) == 0 ||
      (usual && job_id != notice.job_id())) {
    return;
  }
  v1::LogEntry entry;
  entry.set_job_id(job_id);
  entry.set_severity(usual ? v1::LOG_SEVERITY_INFO
                           : std::min(notice.severity(), v1::LOG_SEVERITY_ERROR));
  entry.set_source(worker.info.name());
  entry.set_message(notice.message());
  log_.Add(std::move(entry));
}

bool CoordinatorImpl::WantsBuffer(const std::string& worker_id, uint64_t work_id, uint64_t bytes) {
  absl::MutexLock lock(&mu_);
  Worker* worker = registry_.Find(worker_id);
  return worker != nullptr && dispatcher_.WantsBuffer(*worker, work_id, bytes);
}

void CoordinatorImpl::OnBuffer(const std::string& worker_id, uint64_t transfer, FlatBuffer buffer) {
  absl::MutexLock lock(&mu_);
  Worker* worker = registry_.Find(worker_id);
  if (worker == nullptr) {
    return;
  }
  worker->last_heard = Now();
  dispatcher_.OnBuffer(*worker, transfer, std::move(buffer), Now());
  PumpFor(worker_id);
}

std::vector<v1::WorkerInfo> CoordinatorImpl::Workers() {
  absl::MutexLock lock(&mu_);
  return registry_.List();
}

}  // namespace innerloop::server
