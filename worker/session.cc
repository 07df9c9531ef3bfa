#include "worker/session.h"

#include <utility>
#include <vector>

#include <spdlog/spdlog.h>

#include "absl/strings/str_cat.h"
#include "core/support/shorten.h"
#include "core/support/status_macros.h"
#include "innerloop/v1/work.grpc.pb.h"

namespace innerloop::worker {
namespace {

// Bounds on what a coordinator may make a worker remember.
constexpr size_t kMaxJobs = 10'000;
constexpr size_t kMaxWorks = 100'000;
// Most bytes of what a report says: messages of libraries can be long. The coordinator would cut
// them, too.
constexpr size_t kMaxMessage = 10'000;
constexpr size_t kMaxReason = 1'000;

}  // namespace

Session::Session(SessionContext& context, std::shared_ptr<grpc::Channel> channel,
                 SessionListener& listener)
    : context_(context),
      listener_(listener),
      source_(std::make_shared<FileSource>(v1::Work::NewStub(channel))),
      parameters_(context.memory),
      stream_(channel, *this, context.metrics) {}

void Session::Start() {
  stream_.Start();
  v1::Report report;
  *report.mutable_hello() = context_.hello;
  Send(report);
}

void Session::Heartbeat() {
  v1::Report report;
  v1::Heartbeat& heartbeat = *report.mutable_heartbeat();
  for (v1::FileFetch& fetch : context_.data_sets.Fetches()) {
    *heartbeat.add_fetches() = std::move(fetch);
  }
  Send(report);
}

void Session::Drain() {
  {
    absl::MutexLock lock(&mu_);
    draining_ = true;
    ++answering_;
  }
  v1::Report report;
  report.mutable_draining();
  Answer([&](OutgoingQueue& queue) { queue.Push(report); });
  for (const uint64_t work_id : context_.slots.RemoveAll(this)) {
    if (Take(work_id)) {
      Return(work_id);
    }
  }
}

void Session::OnClosed(const absl::Status& status) {
  {
    absl::MutexLock lock(&mu_);
    works_.clear();
  }
  context_.slots.RemoveAll(this);
  source_->closed.Notify();
  listener_.OnClosed(status);
  closed_.Notify();  // Worker may destroy this now.
}

absl::Status Session::OnEntry(absl::string_view serialised) {
  if (!instruction_.ParseFromArray(serialised.data(), static_cast<int>(serialised.size()))) {
    return absl::InvalidArgumentError("the coordinator sent something that is no instruction");
  }
  switch (instruction_.kind_case()) {
    case v1::Instruction::kWelcome:
      listener_.OnWelcome(instruction_.welcome());
      return absl::OkStatus();
    case v1::Instruction::kJob:
      return OnJob(*instruction_.mutable_job());
    case v1::Instruction::kParameters:
      return OnParameters(instruction_.parameters());
    case v1::Instruction::kFrame:
      return absl::InvalidArgumentError("the coordinator sent a frame in an unusual encoding");
    case v1::Instruction::kWork:
      return OnWork(*instruction_.mutable_work());
    case v1::Instruction::kPull:
      OnPull(instruction_.pull().work_id());
      return absl::OkStatus();
    case v1::Instruction::kDrop:
      OnDrop(instruction_.drop().work_id());
      return absl::OkStatus();
    case v1::Instruction::kRelease:
      parameters_.ReleaseBelow(instruction_.release().job_id(),
                               instruction_.release().below_version());
      return absl::OkStatus();
    case v1::Instruction::kReleaseJob:
      OnReleaseJob(instruction_.release_job().job_id());
      return absl::OkStatus();
    case v1::Instruction::kGoodbye:
      return absl::UnavailableError(
          absl::StrCat("the coordinator said goodbye: ", instruction_.goodbye().reason()));
    case v1::Instruction::KIND_NOT_SET:
      return absl::OkStatus();  // a newer coordinator's, which it can do without
  }
  return absl::OkStatus();
}

absl::StatusOr<char*> Session::OnFrame(uint64_t transfer, uint64_t offset, uint64_t size) {
  return parameters_.OnFrame(transfer, offset, size);
}

absl::Status Session::OnFrameDone(uint64_t transfer, uint64_t size, uint32_t crc32c) {
  return parameters_.OnFrameDone(transfer, size, crc32c);
}

absl::Status Session::OnJob(v1::JobDescription& description) {
  const std::string id = description.job_id();
  if (jobs_.size() >= kMaxJobs) {
    return absl::ResourceExhaustedError(
        absl::StrCat("more than ", kMaxJobs, " jobs on one stream"));
  }
  auto job =
      std::make_shared<Job>(std::move(description), context_.create_program, context_.data_sets,
                            source_, context_.slots.slots(), context_.allowed_models);
  if (!jobs_.try_emplace(id, std::move(job)).second) {
    return absl::InvalidArgumentError(absl::StrCat("job ", id, " is described twice"));
  }
  spdlog::debug("job {} is described", id);
  return absl::OkStatus();
}

absl::Status Session::OnParameters(const v1::ParametersBegin& begin) {
  if (!jobs_.contains(begin.job_id())) {
    return absl::InvalidArgumentError(
        absl::StrCat("parameters of job ", begin.job_id(), ", which was not described"));
  }
  absl::Status status = parameters_.Begin(begin);
  if (absl::IsResourceExhausted(status)) {
    Decline(begin.job_id(), status);
    return absl::OkStatus();
  }
  return status;
}

absl::Status Session::OnWork(v1::WorkItem& work) {
  const uint64_t id = work.id();
  bool accepted = false;
  {
    absl::MutexLock lock(&mu_);
    if (works_.contains(id)) {
      return absl::InvalidArgumentError(absl::StrCat("work item ", id, " is given twice"));
    }
    if (works_.size() >= kMaxWorks) {
      return absl::ResourceExhaustedError(
          absl::StrCat("more than ", kMaxWorks, " work items at a time"));
    }
    if (!draining_ && !declined_.contains(work.job_id())) {
      works_.emplace(id, Work{work.job_id()});
      accepted = true;
    } else {
      ++answering_;
    }
  }
  if (!accepted) {
    Return(id);
    return absl::OkStatus();
  }
  const auto job = jobs_.find(work.job_id());
  std::shared_ptr<const FlatBuffer> parameters;
  absl::Status status;
  if (job == jobs_.end()) {
    status = absl::FailedPreconditionError(
        absl::StrCat("job ", work.job_id(), " was not described to this worker"));
  } else if (work.has_shard() || work.has_evaluation() || work.has_adaptation()) {
    const uint64_t version = work.has_shard()        ? work.shard().version()
                             : work.has_evaluation() ? work.evaluation().version()
                                                     : work.adaptation().version();
    parameters = parameters_.Find(work.job_id(), version);
    if (parameters == nullptr) {
      status = absl::FailedPreconditionError(absl::StrCat(
          "version ", version, " of job ", work.job_id(), " was not sent to this worker"));
    }
  } else if (!work.has_initialise()) {
    status = absl::UnimplementedError("this worker does not know that kind of work");
  }
  if (!status.ok()) {
    if (Take(id)) {
      Fail(id, status);
    }
    return absl::OkStatus();
  }
  context_.slots.Submit(
      {this, id,
       [self = shared_from_this(), job = job->second, parameters = std::move(parameters),
        work = std::move(work)](Slot& slot) { self->Run(work, *job, parameters.get(), slot); }});
  return absl::OkStatus();
}

void Session::OnPull(uint64_t work_id) {
  Work work;
  {
    absl::MutexLock lock(&mu_);
    const auto it = works_.find(work_id);
    if (it == works_.end() || it->second.announced == nullptr) {
      return;  // dropped meanwhile
    }
    work = std::move(it->second);
    works_.erase(it);
    ++answering_;
  }
  Answer([&](OutgoingQueue& queue) { queue.PushFrames(std::move(work.announced), work.transfer); });
}

void Session::OnDrop(uint64_t work_id) {
  Forget(work_id);
  context_.slots.Remove(this, work_id);
  CloseIfDrained();
}

void Session::OnReleaseJob(const std::string& job_id) {
  parameters_.ReleaseJob(job_id);
  jobs_.erase(job_id);
  std::vector<uint64_t> dropped;
  {
    absl::MutexLock lock(&mu_);
    declined_.erase(job_id);
    for (const auto& [work_id, work] : works_) {
      if (work.job_id == job_id) {
        dropped.push_back(work_id);
      }
    }
  }
  for (const uint64_t work_id : dropped) {
    OnDrop(work_id);
  }
}

void Session::Run(const v1::WorkItem& work, Job& job, const FlatBuffer* parameters, Slot& slot) {
  if (!Wanted(work.id())) {
    return;
  }
  WorkOutcome outcome = RunWork(work, job, parameters, context_.max_parameters, slot);
  for (v1::JobNotice& notice : job.TakeNotices()) {
    v1::Report report;
    *report.mutable_notice() = std::move(notice);
    Send(report);
  }
  if (outcome.kind != WorkOutcome::Kind::kDeclined) {
    context_.metrics.OnWork(outcome.kind == WorkOutcome::Kind::kDone, outcome.computing);
  }
  if (outcome.kind == WorkOutcome::Kind::kDone) {
    SendResult(work.id(), outcome);
  } else if (Take(work.id())) {
    if (outcome.kind == WorkOutcome::Kind::kDeclined) {
      Decline(work.job_id(), outcome.status);
      Return(work.id());
    } else {
      Fail(work.id(), outcome.status);
    }
  }
}

void Session::SendResult(uint64_t work_id, WorkOutcome& outcome) {
  std::shared_ptr<const EncodedBuffer> buffer;
  if (!outcome.buffer.empty()) {
    buffer = std::make_shared<const EncodedBuffer>(
        std::make_shared<const FlatBuffer>(std::move(outcome.buffer)));
  }
  v1::Report report;
  v1::ResultBegin& result = *report.mutable_result();
  result = std::move(outcome.result);
  result.set_bytes(buffer == nullptr ? 0 : buffer->bytes());
  result.set_announced(result.bytes() > kDirectResultBytes);
  {
    absl::MutexLock lock(&mu_);
    const auto it = works_.find(work_id);
    if (it == works_.end()) {
      return;  // dropped meanwhile
    }
    if (buffer != nullptr) {
      result.set_transfer(++last_transfer_);
    }
    if (result.announced()) {
      it->second.transfer = result.transfer();
      it->second.announced = std::exchange(buffer, nullptr);
    } else {
      works_.erase(it);
      ++answering_;
    }
  }
  if (result.announced()) {
    Send(report);
    return;
  }
  Answer([&](OutgoingQueue& queue) {
    queue.Push(report);
    if (buffer != nullptr) {
      queue.PushFrames(std::move(buffer), result.transfer());
    }
  });
}

void Session::Decline(const std::string& job_id, const absl::Status& why) {
  {
    absl::MutexLock lock(&mu_);
    if (!declined_.insert(job_id).second) {
      return;
    }
  }
  spdlog::warn("declining job {}: {}", job_id, std::string(why.message()));
  v1::Report report;
  report.mutable_declined()->set_job_id(job_id);
  report.mutable_declined()->set_reason(std::string(Shorten(why.message(), kMaxReason)));
  Send(report);
}

void Session::Send(const v1::Report& report) {
  stream_.Write([&](OutgoingQueue& queue) { queue.Push(report); });
}

void Session::Fail(uint64_t work_id, const absl::Status& status) {
  spdlog::warn("work item {} failed: {}", work_id, status.ToString());
  v1::Report report;
  v1::WorkFailed& failed = *report.mutable_failed();
  failed.set_work_id(work_id);
  failed.set_code(static_cast<int32_t>(status.code()));
  failed.set_message(std::string(Shorten(status.message(), kMaxMessage)));
  Answer([&](OutgoingQueue& queue) { queue.Push(report); });
}

void Session::Return(uint64_t work_id) {
  v1::Report report;
  report.mutable_returned()->set_work_id(work_id);
  Answer([&](OutgoingQueue& queue) { queue.Push(report); });
}

bool Session::Wanted(uint64_t work_id) {
  absl::MutexLock lock(&mu_);
  return works_.contains(work_id);
}

void Session::Forget(uint64_t work_id) {
  absl::MutexLock lock(&mu_);
  works_.erase(work_id);
}

bool Session::Take(uint64_t work_id) {
  absl::MutexLock lock(&mu_);
  if (works_.erase(work_id) == 0) {
    return false;
  }
  ++answering_;
  return true;
}

void Session::Answer(absl::FunctionRef<void(OutgoingQueue&)> fill) {
  stream_.Write(fill);
  {
    absl::MutexLock lock(&mu_);
    --answering_;
  }
  CloseIfDrained();
}

bool Session::drained() {
  absl::MutexLock lock(&mu_);
  return draining_ && works_.empty() && answering_ == 0;
}

void Session::CloseIfDrained() {
  if (drained()) {
    stream_.CloseWrites();
  }
}

}  // namespace innerloop::worker
