#include "tests/server/coordinator/cluster.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "server/jobs/job_machine.h"

namespace innerloop::server {
namespace {

Layout LayoutOf(int64_t width, v1::ParameterLayout* proto) {
  v1::TensorSpec* tensor = proto->add_tensors();
  tensor->set_name("weight");
  tensor->add_shape(width);
  return *Layout::Create(*proto);
}

// Some number that depends on everything it is given.
float Mix(uint64_t a, uint64_t b, uint64_t c) {
  uint64_t x = a * 0x9E3779B97F4A7C15 + b * 0xC2B2AE3D27D4EB4F + c * 0x165667B19E3779F9;
  x ^= x >> 29;
  x *= 0xBF58476D1CE4E5B9;
  x ^= x >> 32;
  return static_cast<float>(x >> 40) * 0x1.0p-24F - 0.5F;
}

// Each query is answered by the first parameter; a file is its format's number five times.
void AnswerAdaptation(const v1::AdaptationTask& task, float first_parameter,
                      v1::ResultBegin& result, FlatBuffer* buffer) {
  v1::AdaptationResult& adapted = *result.mutable_adaptation();
  for (uint32_t step = 0; step <= task.rule().inner_steps(); ++step) {
    adapted.add_support_losses(1.0 / (1 + step));
  }
  if (task.has_queries()) {
    adapted.mutable_predictions()->set_size(1);
    for (size_t i = 0; i < task.queries().float32().size() / sizeof(float); ++i) {
      adapted.mutable_predictions()->add_values(first_parameter);
    }
  }
  if (task.format() != v1::ExportRequest::FORMAT_UNSPECIFIED) {
    adapted.set_file_bytes(5);
    *buffer = FlatBuffer(2);
    std::fill_n(reinterpret_cast<char*>(buffer->data()), 5, static_cast<char>(task.format()));
    result.set_bytes(8);
  }
}

}  // namespace

std::shared_ptr<FakeWorker> FakeWorker::Connect(Coordinator& coordinator, const std::string& name,
                                                uint32_t slots, const std::string& device) {
  auto worker = std::make_shared<FakeWorker>(coordinator);
  v1::Hello hello;
  hello.set_protocol_version(1);
  hello.set_name(name);
  hello.set_slots(slots);
  hello.mutable_fingerprint()->set_device(device);
  const absl::StatusOr<std::string> id = coordinator.Connect(hello, worker);
  EXPECT_TRUE(id.ok()) << id.status();
  worker->id_ = id.value_or("");
  return worker;
}

void FakeWorker::Send(const v1::Instruction& instruction) {
  absl::MutexLock lock(&mu_);
  switch (instruction.kind_case()) {
    case v1::Instruction::kJob:
      ++descriptions_;
      EXPECT_TRUE(jobs_.emplace(instruction.job().job_id(), instruction.job().spec()).second)
          << "described twice: " << instruction.job().job_id();
      break;
    case v1::Instruction::kParameters:
      transfers_[instruction.parameters().transfer()] = {instruction.parameters().job_id(),
                                                         instruction.parameters().version()};
      break;
    case v1::Instruction::kWork: {
      const v1::WorkItem& item = instruction.work();
      EXPECT_EQ(jobs_.count(item.job_id()), 1) << "work of a job that was not described";
      if (!item.has_initialise()) {
        const uint64_t version = item.has_shard()        ? item.shard().version()
                                 : item.has_adaptation() ? item.adaptation().version()
                                                         : item.evaluation().version();
        EXPECT_EQ(versions_.count({item.job_id(), version}), 1)
            << "version " << version << " was not sent";
      }
      if (item.has_evaluation()) {
        EXPECT_EQ(jobs_[item.job_id()].evaluation().final().ShortDebugString(),
                  item.evaluation().protocol().ShortDebugString());
      }
      items_.push_back(item);
      break;
    }
    case v1::Instruction::kPull:
      pulled_.push_back(instruction.pull().work_id());
      break;
    case v1::Instruction::kDrop:
      dropped_.push_back(instruction.drop().work_id());
      announced_.erase(instruction.drop().work_id());
      items_.erase(std::remove_if(items_.begin(), items_.end(),
                                  [&](const v1::WorkItem& item) {
                                    return item.id() == instruction.drop().work_id();
                                  }),
                   items_.end());
      break;
    case v1::Instruction::kRelease:
      for (auto it = versions_.begin(); it != versions_.end();) {
        const bool below = it->first.first == instruction.release().job_id() &&
                           it->first.second < instruction.release().below_version();
        it = below ? versions_.erase(it) : std::next(it);
      }
      break;
    case v1::Instruction::kReleaseJob:
      released_.insert(instruction.release_job().job_id());
      jobs_.erase(instruction.release_job().job_id());
      for (auto it = versions_.begin(); it != versions_.end();) {
        it = it->first.first == instruction.release_job().job_id() ? versions_.erase(it)
                                                                   : std::next(it);
      }
      break;
    case v1::Instruction::kGoodbye:
      goodbye_ = true;
      break;
    default:
      break;
  }
}

void FakeWorker::SendBuffer(std::shared_ptr<const EncodedBuffer> buffer, uint64_t transfer) {
  absl::MutexLock lock(&mu_);
  std::string bytes;
  for (size_t i = 0; i < buffer->frames(); ++i) {
    bytes.append(reinterpret_cast<const char*>(buffer->slice(i).begin()), buffer->slice(i).size());
  }
  std::vector<float> values(bytes.size() / sizeof(float));
  std::copy(bytes.begin(), bytes.end(), reinterpret_cast<char*>(values.data()));
  EXPECT_TRUE(versions_.emplace(transfers_.at(transfer), std::move(values)).second)
      << "a version was sent twice";
}

void FakeWorker::Close(const absl::Status& reason) {
  absl::MutexLock lock(&mu_);
  closed_ = reason;
}

void FakeWorker::Forget(uint64_t transfer) {
  absl::MutexLock lock(&mu_);
  forgotten_.push_back(transfer);
}

void FakeWorker::Flush() {
  if (on_flush) {
    std::exchange(on_flush, nullptr)();
  }
  while (eager && HasItems()) {
    CompleteOldest();
  }
}

std::vector<v1::WorkItem> FakeWorker::Items() {
  absl::MutexLock lock(&mu_);
  return {items_.begin(), items_.end()};
}
std::optional<absl::Status> FakeWorker::closed() {
  absl::MutexLock lock(&mu_);
  return closed_;
}
bool FakeWorker::saw_goodbye() {
  absl::MutexLock lock(&mu_);
  return goodbye_;
}
size_t FakeWorker::descriptions() {
  absl::MutexLock lock(&mu_);
  return descriptions_;
}
bool FakeWorker::holds(const std::string& wire_id, uint64_t version) {
  absl::MutexLock lock(&mu_);
  return versions_.count({wire_id, version}) > 0;
}
std::set<std::string> FakeWorker::released_jobs() {
  absl::MutexLock lock(&mu_);
  return released_;
}
std::vector<uint64_t> FakeWorker::dropped() {
  absl::MutexLock lock(&mu_);
  return dropped_;
}

std::vector<uint64_t> FakeWorker::pulled() {
  absl::MutexLock lock(&mu_);
  return {pulled_.begin(), pulled_.end()};
}
std::vector<uint64_t> FakeWorker::forgotten() {
  absl::MutexLock lock(&mu_);
  return forgotten_;
}

v1::ResultBegin FakeWorker::ResultOf(const v1::WorkItem& item, FlatBuffer* buffer) {
  absl::MutexLock lock(&mu_);
  items_.erase(std::find_if(items_.begin(), items_.end(),
                            [&](const v1::WorkItem& other) { return other.id() == item.id(); }));
  v1::ResultBegin result;
  result.set_work_id(item.id());
  result.set_compute_seconds(seconds);
  v1::ParameterLayout proto;
  const Layout layout = LayoutOf(width, &proto);
  if (item.has_adaptation()) {
    AnswerAdaptation(item.adaptation(),
                     versions_.at({item.job_id(), item.adaptation().version()})[0], result, buffer);
    result.set_transfer(next_transfer_++);
    return result;
  }
  if (item.has_evaluation()) {
    const v1::EvaluationShard& shard = item.evaluation();
    v1::EvaluationSums& sums = *result.mutable_evaluation();
    sums.set_episodes(shard.last_episode() - shard.first_episode());
    const std::vector<float>& values = versions_.at({item.job_id(), shard.version()});
    for (uint32_t k = 0; k <= shard.protocol().inner_steps(); ++k) {
      double loss = 0;
      double squares = 0;
      for (uint64_t e = shard.first_episode(); e < shard.last_episode(); ++e) {
        const double one = std::abs(values[0]) + 1 + Mix(e, k, shard.protocol().seed());
        loss += one;
        squares += one * one;
      }
      sums.add_loss(loss);
      sums.add_loss_squares(squares);
    }
    return result;
  }
  *buffer = FlatBuffer(layout.flat_size());
  if (item.has_initialise()) {
    *result.mutable_layout() = proto;
    for (int64_t j = 0; j < width; ++j) {
      buffer->data()[j] = Mix(jobs_.at(item.job_id()).seed(), 77, static_cast<uint64_t>(j));
    }
  } else {
    const v1::Shard& shard = item.shard();
    // A test may make it answer with more values than it was given.
    std::vector<float> values = versions_.at({item.job_id(), shard.version()});
    values.resize(std::max(values.size(), static_cast<size_t>(width)));
    v1::TaskMetrics& metrics = *result.mutable_metrics();
    metrics.set_tasks(shard.last_task() - shard.first_task());
    for (uint64_t t = shard.first_task(); t < shard.last_task(); ++t) {
      for (int64_t j = 0; j < width; ++j) {
        buffer->data()[j] += values[static_cast<size_t>(j)] * 0.3F +
                             Mix(shard.iteration(), t, static_cast<uint64_t>(j));
      }
      metrics.set_meta_loss(metrics.meta_loss() + 1 + Mix(shard.iteration(), t, 999));
    }
    if (shard.iteration() >= nan_from) {
      buffer->data()[0] = std::numeric_limits<float>::quiet_NaN();
    }
  }
  result.set_bytes(static_cast<uint64_t>(buffer->size()) * sizeof(float));
  result.set_transfer(next_transfer_++);
  return result;
}

void FakeWorker::Complete(const v1::WorkItem& item) {
  FlatBuffer buffer;
  v1::ResultBegin result = ResultOf(item, &buffer);
  if (announces && !buffer.empty()) {
    result.set_announced(true);
    {
      absl::MutexLock lock(&mu_);
      announced_[item.id()] = {result, std::move(buffer)};
    }
    v1::Report report;
    *report.mutable_result() = result;
    coordinator_.OnReport(id_, report);
    return;
  }
  v1::Report report;
  *report.mutable_result() = result;
  coordinator_.OnReport(id_, report);
  Deliver(result, std::move(buffer));
}

bool FakeWorker::AnswerPull() {
  std::pair<v1::ResultBegin, FlatBuffer> result;
  {
    absl::MutexLock lock(&mu_);
    while (!pulled_.empty() && announced_.count(pulled_.front()) == 0) {
      pulled_.pop_front();
    }
    if (pulled_.empty()) {
      return false;
    }
    auto node = announced_.extract(pulled_.front());
    pulled_.pop_front();
    result = std::move(node.mapped());
  }
  Deliver(result.first, std::move(result.second));
  return true;
}

void FakeWorker::Deliver(const v1::ResultBegin& result, FlatBuffer buffer) {
  // As the stream does it.
  if (!buffer.empty() && coordinator_.WantsBuffer(id_, result.work_id(), result.bytes())) {
    coordinator_.OnBuffer(id_, result.transfer(), std::move(buffer));
  }
}

void FakeWorker::Fail(const v1::WorkItem& item, absl::StatusCode code, const std::string& message) {
  {
    absl::MutexLock lock(&mu_);
    items_.erase(std::find_if(items_.begin(), items_.end(),
                              [&](const v1::WorkItem& other) { return other.id() == item.id(); }));
  }
  v1::Report report;
  report.mutable_failed()->set_work_id(item.id());
  report.mutable_failed()->set_code(static_cast<int>(code));
  report.mutable_failed()->set_message(message);
  coordinator_.OnReport(id_, report);
}

// ---- the cluster

Cluster::Cluster(Options options) : options_(std::move(options)) { Open(); }

Cluster::~Cluster() {
  coordinator_.reset();
  recorder.reset();
}

void Cluster::Open() {
  state = *StateStore::Open(folder.path());
  checkpoints = std::make_unique<CheckpointStore>(folder.path(), files);
  data_sets = std::make_unique<DataSetStore>(folder.path(), uint64_t{1} << 30, *state);
  metrics = std::make_unique<QuietMetrics>();
  recorder = std::make_unique<Recorder>(*state, *checkpoints, Clock::Real());
  coordinator_ = *Coordinator::Create(
      options_, {*state, *checkpoints, *data_sets, *recorder, *metrics, clock});
}

void Cluster::Restart() {
  coordinator_.reset();
  workers_.clear();
  recorder.reset();
  data_sets.reset();
  checkpoints.reset();
  state.reset();
  Open();
}

FakeWorker& Cluster::AddWorker(uint32_t slots, const std::string& device) {
  workers_.push_back(
      FakeWorker::Connect(*coordinator_, absl::StrCat("worker-", names_++), slots, device));
  return *workers_.back();
}

void Cluster::Kill(FakeWorker& worker) {
  worker.Die();
  workers_.erase(std::find_if(workers_.begin(), workers_.end(),
                              [&](const auto& other) { return other.get() == &worker; }));
}

v1::Job Cluster::Submit(const v1::JobSpec& spec, const std::string& request_id) {
  v1::SubmitJobRequest request;
  *request.mutable_spec() = spec;
  request.set_request_id(request_id);
  const absl::StatusOr<v1::Job> job = coordinator_->Submit(request);
  EXPECT_TRUE(job.ok()) << job.status();
  return job.value_or(v1::Job());
}

std::vector<v1::Job> Cluster::Jobs() {
  std::vector<v1::Job> jobs;
  coordinator_->List({}, [&](v1::Job job) {
    jobs.push_back(std::move(job));
    return true;
  });
  return jobs;
}

bool Cluster::Step() {
  std::vector<FakeWorker*> able;
  for (const auto& worker : workers_) {
    if (worker->AnswerPull()) {
      return true;
    }
    if (worker->HasItems()) {
      able.push_back(worker.get());
    }
  }
  if (able.empty()) {
    return false;
  }
  FakeWorker& worker = *able[random() % able.size()];
  const std::vector<v1::WorkItem> items = worker.Items();
  worker.Complete(items[random() % items.size()]);
  return true;
}

void Cluster::RunUntil(const std::string& id, const std::function<bool(const v1::Job&)>& done) {
  const absl::Time deadline = absl::Now() + absl::Minutes(1);
  uint64_t seen = 0;
  while (true) {
    const v1::Job job = Get(id);
    if (done(job)) {
      return;
    }
    if (Step()) {
      continue;
    }
    ASSERT_LT(absl::Now(), deadline) << "stuck at " << job.ShortDebugString();
    // A wake-up may fall between Get and here: the number is remembered from before.
    seen = coordinator_->AwaitEvents(id, seen, absl::Seconds(1));
  }
}

v1::Job Cluster::RunToEnd(const std::string& id) {
  RunUntil(id, Ended);
  return Get(id);
}

std::string Cluster::ParametersOf(const std::string& reference) {
  std::vector<std::string> damaged;
  const absl::StatusOr<Checkpoint> checkpoint = checkpoints->Read(reference, &damaged);
  EXPECT_TRUE(checkpoint.ok()) << checkpoint.status();
  return checkpoint.ok() ? checkpoint->metadata.parameters_sha256() : "";
}

v1::JobSpec SmallJob(uint64_t iterations) {
  v1::JobSpec spec;
  spec.mutable_model()->mutable_mlp()->add_hidden(4);
  spec.mutable_tasks()->mutable_sinusoid();
  spec.mutable_algorithm()->mutable_maml()->set_inner_steps(1);
  spec.set_meta_batch(7);
  spec.set_tasks_per_shard(2);
  spec.set_iterations(iterations);
  spec.mutable_evaluation()->set_skip_final(true);
  return spec;
}

bool Ended(const v1::Job& job) { return JobMachine::Ended(job.state()); }

}  // namespace innerloop::server
