// A coordinator with real storage in a temporary folder, a clock that stands still until told, and
// workers that are plain objects.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "core/rpc/batch_stream.h"
#include "server/coordinator.h"
#include "tests/core/support/manual_clock.h"
#include "tests/server/storage/temporary_state.h"

namespace innerloop::server {

// A worker whose results are a plain function of parameters and tasks. What it is sent is checked:
// parameters come before the items that need them, released versions are needed no more, and
// evaluations are by the protocol that they were described with. The test says when it answers.
// Thread-safe towards the coordinator.
class FakeWorker : public WorkerLink {
 public:
  explicit FakeWorker(Coordinator& coordinator) : coordinator_(coordinator) {}
  // The coordinator shares it: it may be in the middle of a call when the worker dies.
  static std::shared_ptr<FakeWorker> Connect(Coordinator& coordinator, const std::string& name,
                                             uint32_t slots, const std::string& device);

  void Send(const v1::Instruction& instruction) override;
  void SendBuffer(std::shared_ptr<const EncodedBuffer> buffer, uint64_t transfer) override;
  // Answers everything at once when it is eager.
  void Flush() override;
  void Forget(uint64_t transfer) override;
  void Close(const absl::Status& reason) override;

  const std::string& id() const { return id_; }
  // Items that it was given and has neither answered nor been told to drop, oldest first.
  std::vector<v1::WorkItem> Items();
  bool HasItems() { return !Items().empty(); }
  std::optional<absl::Status> closed();
  bool saw_goodbye();
  size_t descriptions();
  bool holds(const std::string& wire_id, uint64_t version);
  std::set<std::string> released_jobs();
  std::vector<uint64_t> dropped();
  // Work items whose announced results it was asked for and has not sent.
  std::vector<uint64_t> pulled();
  // Transfers of announced results that it will not be asked for.
  std::vector<uint64_t> forgotten();

  // Answers one of Items().
  void Complete(const v1::WorkItem& item);
  void CompleteOldest() { Complete(Items().front()); }
  void Report(const v1::Report& report) { coordinator_.OnReport(id_, report); }
  void Fail(const v1::WorkItem& item, absl::StatusCode code, const std::string& message);
  void Die() { coordinator_.Disconnect(id_); }

  bool eager = false;
  // What happens at the next Flush, once. Set while nobody flushes.
  std::function<void()> on_flush;
  // Results are announced, and sent when they are pulled.
  bool announces = false;
  // Sums hold a NaN from this iteration on.
  uint64_t nan_from = UINT64_MAX;
  double seconds = 0.01;
  // Values of the parameter tensor.
  int64_t width = 37;

 private:
  v1::ResultBegin ResultOf(const v1::WorkItem& item, FlatBuffer* buffer);
  void Deliver(const v1::ResultBegin& result, FlatBuffer buffer);

  Coordinator& coordinator_;
  std::string id_;
  absl::Mutex mu_;
  std::map<uint64_t, std::pair<std::string, uint64_t>> transfers_ ABSL_GUARDED_BY(mu_);
  std::map<std::pair<std::string, uint64_t>, std::vector<float>> versions_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, v1::JobSpec> jobs_ ABSL_GUARDED_BY(mu_);
  std::deque<v1::WorkItem> items_ ABSL_GUARDED_BY(mu_);
  // Announced results.
  std::map<uint64_t, std::pair<v1::ResultBegin, FlatBuffer>> announced_ ABSL_GUARDED_BY(mu_);
  std::deque<uint64_t> pulled_ ABSL_GUARDED_BY(mu_);
  std::set<std::string> released_ ABSL_GUARDED_BY(mu_);
  std::vector<uint64_t> dropped_ ABSL_GUARDED_BY(mu_);
  std::vector<uint64_t> forgotten_ ABSL_GUARDED_BY(mu_);
  size_t descriptions_ ABSL_GUARDED_BY(mu_) = 0;
  bool goodbye_ ABSL_GUARDED_BY(mu_) = false;
  std::optional<absl::Status> closed_ ABSL_GUARDED_BY(mu_);
  uint64_t next_transfer_ = 1;

 public:
  // Sends a result that was pulled; false when there is none.
  bool AnswerPull();
};

// Metrics that nobody looks at, but for why workers' connections ended. As thread-safe as what
// calls it: OnWorkerGone comes under the coordinator's lock.
class QuietMetrics final : public Metrics {
 public:
  std::string address() const override { return ""; }
  std::shared_ptr<JobMetrics> ForJob(const std::string& job_id) override {
    return jobs_->ForJob(job_id);
  }
  void Remove(const std::string& job_id) override { jobs_->Remove(job_id); }
  void OnWorkers(int /*connected*/, int /*draining*/, int /*lost*/, int /*slots*/,
                 int /*busy_slots*/) override {}
  void OnWorkerConnected() override {}
  void OnWorkerGone(Gone reason) override { gone.push_back(reason); }
  void OnBytes(uint64_t /*sent*/, uint64_t /*received*/) override {}
  void OnJobs(v1::JobState /*state*/, int /*count*/) override {}

  std::vector<Gone> gone;

 private:
  const std::unique_ptr<Metrics> jobs_ = *Metrics::Create("", /*state_dir=*/"");
};

// See above. One thread.
class Cluster {
 public:
  explicit Cluster(Options options = {});
  ~Cluster();

  Coordinator& coordinator() { return *coordinator_; }
  FakeWorker& AddWorker(uint32_t slots = 1, const std::string& device = "cpu");
  // Kills a worker, as the coordinator sees it.
  void Kill(FakeWorker& worker);
  const std::vector<std::shared_ptr<FakeWorker>>& workers() const { return workers_; }

  // Ends the coordinator without a Stop, and starts one on the same folder; no workers.
  void Restart();

  v1::Job Submit(const v1::JobSpec& spec, const std::string& request_id = "");
  std::vector<v1::Job> Jobs();
  v1::Job Get(const std::string& id) { return *coordinator_->Get(id); }
  // One random worker answers one random item; false when there is nothing to answer.
  bool Step();
  // Steps until it holds. Waits for the recorder where nothing else is to be done; fails after a
  // minute.
  void RunUntil(const std::string& id, const std::function<bool(const v1::Job&)>& done);
  v1::Job RunToEnd(const std::string& id);
  std::string ParametersOf(const std::string& reference);

  TemporaryFolder folder;
  FailingFileSystem files;
  ManualClock clock;
  std::mt19937 random{1};

  std::unique_ptr<StateStore> state;
  std::unique_ptr<CheckpointStore> checkpoints;
  std::unique_ptr<DataSetStore> data_sets;
  std::unique_ptr<QuietMetrics> metrics;
  std::unique_ptr<Recorder> recorder;

 private:
  void Open();

  const Options options_;
  std::unique_ptr<Coordinator> coordinator_;
  std::vector<std::shared_ptr<FakeWorker>> workers_;
  int names_ = 0;
};

// A sinusoid job of 4 shards (of 7 tasks) an iteration.
v1::JobSpec SmallJob(uint64_t iterations);

bool Ended(const v1::Job& job);

}  // namespace innerloop::server
