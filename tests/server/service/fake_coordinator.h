// A coordinator that holds jobs and runs nothing, for tests of the services.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "server/coordinator.h"

namespace innerloop::server {

// Thread-safe.
class FakeCoordinator : public Coordinator {
 public:
  // What Evaluate does; by default it never answers.
  std::function<void(std::function<void(absl::StatusOr<v1::Evaluation>)>)> evaluate =
      [](const auto& /*done*/) {};
  // An evaluation is given up.
  std::function<void()> give_up = [] {};
  // The data set that a job uses.
  std::string used_data_set;
  std::vector<DataSetUse> uses = {{"running", false}};

  void Put(v1::Job job) {
    const absl::MutexLock lock(&mutex_);
    jobs_[job.id()] = std::move(job);
    ++events_;
  }
  std::vector<std::string> adopted() {
    const absl::MutexLock lock(&mutex_);
    return adopted_;
  }

  absl::StatusOr<v1::Job> Submit(const v1::SubmitJobRequest& request) override {
    v1::Job job;
    job.set_id("submitted");
    *job.mutable_spec() = request.spec();
    Put(job);
    return job;
  }
  absl::StatusOr<v1::Job> Get(const std::string& id) override {
    const absl::MutexLock lock(&mutex_);
    const auto job = jobs_.find(id);
    if (job == jobs_.end()) {
      return absl::NotFoundError(absl::StrCat("no job '", id, "'"));
    }
    return job->second;
  }
  void List(const JobPlace& after, const std::function<bool(v1::Job)>& take) override {
    const absl::MutexLock lock(&mutex_);
    std::map<JobPlace, v1::Job> jobs;
    for (const auto& [id, job] : jobs_) {
      jobs[PlaceOf(job)] = job;
    }
    for (auto it = jobs.upper_bound(after); it != jobs.end() && take(it->second); ++it) {
    }
  }
  absl::StatusOr<v1::Job> Cancel(const std::string& id) override {
    return Change(id, v1::JOB_STATE_CANCELLED);
  }
  absl::StatusOr<v1::Job> Pause(const std::string& id) override {
    return Change(id, v1::JOB_STATE_PAUSED);
  }
  absl::StatusOr<v1::Job> Resume(const std::string& id) override {
    return Change(id, v1::JOB_STATE_RUNNING);
  }
  absl::StatusOr<v1::Job> Extend(const std::string& id, uint64_t iterations) override {
    absl::StatusOr<v1::Job> job = Get(id);
    if (job.ok()) {
      job->mutable_spec()->set_iterations(iterations);
      Put(*job);
    }
    return job;
  }
  absl::StatusOr<v1::Job> Revise(const std::string& id, const v1::JobSpec& spec) override {
    absl::StatusOr<v1::Job> job = Get(id);
    if (job.ok()) {
      *job->mutable_spec() = spec;
      Put(*job);
    }
    return job;
  }
  absl::Status Delete(const std::string& id) override {
    const absl::MutexLock lock(&mutex_);
    return jobs_.erase(id) == 1 ? absl::OkStatus() : absl::NotFoundError("no such job");
  }
  GiveUp Evaluate(const v1::EvaluateRequest& /*request*/,
                  std::function<void(absl::StatusOr<v1::Evaluation>)> done) override {
    evaluate(std::move(done));
    return give_up;
  }
  absl::StatusOr<std::shared_ptr<const PinnedCheckpoint>> Pin(
      const std::string& checkpoint) override {
    return absl::NotFoundError(absl::StrCat("no checkpoint '", checkpoint, "'"));
  }
  GiveUp Adapt(std::shared_ptr<const PinnedCheckpoint> /*checkpoint*/, v1::AdaptationTask /*task*/,
               std::function<void(absl::StatusOr<Adapted>)> done) override {
    done(absl::UnimplementedError("it runs nothing"));
    return [] {};
  }
  absl::StatusOr<v1::Job> Adopt(Checkpoint checkpoint) override {
    v1::Job job;
    job.set_id(checkpoint.metadata.job_id());
    job.set_state(v1::JOB_STATE_SUCCEEDED);
    job.set_iteration(checkpoint.metadata.iteration());
    Put(job);
    const absl::MutexLock lock(&mutex_);
    adopted_.push_back(job.id());
    return job;
  }
  uint64_t AwaitEvents(const std::string& id, uint64_t seen, absl::Duration timeout) override {
    const absl::MutexLock lock(&mutex_);
    const auto changed = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
      const auto job = jobs_.find(id);
      return events_ > seen || job == jobs_.end() || job->second.state() >= v1::JOB_STATE_SUCCEEDED;
    };
    mutex_.AwaitWithTimeout(absl::Condition(&changed), timeout);
    return events_;
  }
  std::vector<v1::WorkerInfo> Workers() override {
    v1::WorkerInfo worker;
    worker.set_name("one");
    return {worker};
  }
  std::vector<DataSetUse> UsesOf(const std::string& data_set_sha256) override {
    return data_set_sha256 == used_data_set ? uses : std::vector<DataSetUse>();
  }

  absl::StatusOr<std::string> Connect(const v1::Hello& /*hello*/,
                                      std::shared_ptr<WorkerLink> /*link*/) override {
    return absl::UnimplementedError("no workers here");
  }
  void Disconnect(const std::string& /*worker_id*/) override {}
  void OnAlive(const std::string& /*worker_id*/) override {}
  void OnReport(const std::string& /*worker_id*/, const v1::Report& /*report*/) override {}
  void OnBuffer(const std::string& /*worker_id*/, uint64_t /*transfer*/,
                FlatBuffer /*buffer*/) override {}
  bool WantsBuffer(const std::string& /*worker_id*/, uint64_t /*work_id*/,
                   uint64_t /*bytes*/) override {
    return false;
  }
  absl::StatusOr<v1::CollectGarbageResponse> CollectGarbage(
      const v1::CollectGarbageRequest& /*request*/) override {
    return v1::CollectGarbageResponse();
  }
  absl::Status HoldStill(std::function<absl::Status()> work) override { return work(); }
  void Tick() override {}
  void Stop(absl::Duration /*patience*/) override {}

 private:
  absl::StatusOr<v1::Job> Change(const std::string& id, v1::JobState state) {
    absl::StatusOr<v1::Job> job = Get(id);
    if (job.ok()) {
      job->set_state(state);
      Put(*job);
    }
    return job;
  }

  absl::Mutex mutex_;
  std::map<std::string, v1::Job> jobs_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> adopted_ ABSL_GUARDED_BY(mutex_);
  uint64_t events_ ABSL_GUARDED_BY(mutex_) = 1;
};

}  // namespace innerloop::server
