// A worker with a program of the test's own, beside a fake coordinator.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include <gtest/gtest.h>

#include "absl/synchronization/mutex.h"
#include "core/meta/program.h"
#include "tests/core/support/manual_clock.h"
#include "tests/core/support/temporary_folder.h"
#include "tests/worker/fake_coordinator.h"
#include "worker/metrics.h"
#include "worker/worker.h"

namespace innerloop::worker {

// Meta-parameters "w" [size]. A shard's update is the parameters times its number of tasks.
class FakeProgram final : public meta::Program {
 public:
  // Called as each shard begins; its error becomes the shard's.
  using Hook = std::function<absl::Status(const v1::Shard&)>;

  FakeProgram(int64_t size, Hook hook) : hook_(std::move(hook)) {
    v1::ParameterLayout layout;
    layout.add_tensors()->set_name("w");
    layout.mutable_tensors(0)->add_shape(size);
    layout_ = *Layout::Create(layout);
  }
  const Layout& layout() const override { return layout_; }
  absl::StatusOr<FlatBuffer> Initialise() const override {
    FlatBuffer buffer(layout_.flat_size());
    buffer.data()[0] = 5;
    return buffer;
  }
  absl::StatusOr<meta::ShardOutput> RunShard(const FlatBuffer& parameters,
                                             const v1::Shard& shard) const override {
    if (hook_) {
      if (absl::Status status = hook_(shard); !status.ok()) {
        return status;
      }
    }
    const auto tasks = shard.last_task() - shard.first_task();
    meta::ShardOutput output{parameters.Clone(), {}};
    for (float& value : output.update.values()) {
      value *= static_cast<float>(tasks);
    }
    output.metrics.set_tasks(tasks);
    return output;
  }
  absl::StatusOr<int64_t> EstimatePeakBytes() const override { return 0; }
  int64_t MeasuredPeakBytes() const override { return 0; }
  std::vector<std::string> TakeNotices() const override {
    return told_.exchange(true) ? std::vector<std::string>()
                                : std::vector<std::string>{"told once"};
  }
  absl::StatusOr<meta::AdaptationOutput> Adapt(const FlatBuffer& parameters,
                                               const v1::AdaptationTask& task) const override {
    meta::AdaptationOutput output;
    output.result.add_support_losses(parameters.data()[0]);
    if (task.format() != v1::ExportRequest::FORMAT_UNSPECIFIED) {
      output.file = "adapted";
      output.result.set_file_bytes(output.file.size());
    }
    return output;
  }
  absl::StatusOr<v1::EvaluationSums> RunEvaluation(
      const FlatBuffer& parameters, const v1::EvaluationShard& shard) const override {
    v1::EvaluationSums sums;
    sums.set_episodes(shard.last_episode() - shard.first_episode());
    sums.add_loss(parameters.data()[0]);
    return sums;
  }

 private:
  const Hook hook_;
  Layout layout_;
  mutable std::atomic<bool> told_ = false;
};

// Holds shards back until they are let go. Thread-safe.
class Gate {
 public:
  void Enter() {
    absl::MutexLock lock(&mu_);
    inside_ += 1;
    mu_.Await(absl::Condition(&open_));
  }
  void AwaitInside(int count) {
    absl::MutexLock lock(&mu_);
    const auto there = [this, count]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return inside_ >= count; };
    mu_.Await(absl::Condition(&there));
  }
  void Open() {
    absl::MutexLock lock(&mu_);
    open_ = true;
  }

 private:
  absl::Mutex mu_;
  bool open_ ABSL_GUARDED_BY(mu_) = false;
  int inside_ ABSL_GUARDED_BY(mu_) = 0;
};

class WorkerFixture : public ::testing::Test {
 protected:
  WorkerFixture() {
    options_.coordinator = coordinator_.address();
    options_.name = "box:1";
    options_.slots = 1;
    options_.cache_dir = folder_ / "cache";
    options_.first_backoff = absl::Milliseconds(1);
    options_.last_backoff = absl::Milliseconds(20);
    factory_ = [this](const v1::JobDescription&, std::shared_ptr<const Dataset>,
                      uint64_t) -> absl::StatusOr<std::unique_ptr<meta::Program>> {
      return std::make_unique<FakeProgram>(size_, hook_);
    };
  }
  ~WorkerFixture() override {
    gate_.Open();
    if (worker_ != nullptr) {
      worker_->Drain();
      coordinator_.Stop();  // which ends what waits to be asked for
      thread_.join();
      worker_.reset();
    }
  }

  void StartWorker() {
    v1::NumericsFingerprint fingerprint;
    fingerprint.set_device("abacus");
    auto worker = Worker::Create(options_, {.create_program = factory_,
                                            .prepare_thread = [] {},
                                            .fingerprint = fingerprint,
                                            .metrics = *metrics_,
                                            .clock = clock_,
                                            .uniform = [] { return 0.5; },
                                            .on_connected = [](bool) {}});
    ASSERT_TRUE(worker.ok()) << worker.status();
    worker_ = *std::move(worker);
    thread_ = std::thread([this] {
      const absl::Status status = worker_->Run();
      absl::MutexLock lock(&mu_);
      ended_ = status;
    });
  }
  // The next stream, after hello and welcome.
  std::shared_ptr<FakeStream> Welcome(double heartbeat_seconds = 10) {
    auto stream = coordinator_.AwaitStream();
    EXPECT_TRUE(stream->AwaitReport().has_hello());
    stream->SendWelcome(heartbeat_seconds);
    return stream;
  }
  // Starts the worker and describes job "j" at version 0, whose parameters are 1, 2, ...
  std::shared_ptr<FakeStream> StartWithJob(double heartbeat_seconds = 10) {
    StartWorker();
    auto stream = Welcome(heartbeat_seconds);
    stream->SendJob(Job());
    stream->SendParameters("j", 0, Parameters());
    return stream;
  }
  static v1::JobDescription Job() {
    v1::JobDescription job;
    job.set_job_id("j");
    job.mutable_spec()->mutable_limits()->set_shard_timeout_seconds(100);
    return job;
  }
  std::vector<float> Parameters() const {
    std::vector<float> values(static_cast<size_t>((size_ + 15) / 16 * 16));
    for (int64_t i = 0; i < size_; ++i) {
      values[static_cast<size_t>(i)] = static_cast<float>(i + 1);
    }
    return values;
  }
  // What Run returned.
  absl::Status AwaitEnd() {
    absl::MutexLock lock(&mu_);
    const auto ended = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return ended_.has_value(); };
    mu_.Await(absl::Condition(&ended));
    return *ended_;
  }

  TemporaryFolder folder_;
  FakeCoordinator coordinator_;
  std::unique_ptr<Metrics> metrics_ = *Metrics::Create("", {"0", "0", "f"});
  ManualClock clock_;
  Gate gate_;
  Options options_;
  // Of the program that the worker makes.
  int64_t size_ = 3;
  FakeProgram::Hook hook_;
  ProgramFactory factory_;
  std::unique_ptr<Worker> worker_;

 private:
  std::thread thread_;
  absl::Mutex mu_;
  std::optional<absl::Status> ended_ ABSL_GUARDED_BY(mu_);
};

}  // namespace innerloop::worker
