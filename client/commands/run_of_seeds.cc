#include <algorithm>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/commands/group.h"
#include "client/commands/outcome.h"
#include "client/commands/seeds.h"
#include "client/commands/training_run.h"
#include "client/commands/watching.h"
#include "client/render/group_progress.h"
#include "core/support/status_macros.h"

namespace innerloop::client {
namespace {

std::string Label(uint64_t seed) { return absl::StrCat("seed ", seed); }

class SeedJobs final : public TrainingRun {
 public:
  SeedJobs(const RunSurroundings& surroundings, std::vector<uint64_t> seeds)
      : around_(surroundings), seeds_(std::move(seeds)) {}

  absl::Status ToEnd() override {
    // Gone before the cluster is stopped: the coordinator gives connections at rest two seconds.
    TrainingClient client = around_.session.PatientClient(around_.cluster.address());
    INNERLOOP_RETURN_IF_ERROR(SubmitOrContinue(client));
    std::vector<v1::Job> jobs;
    std::vector<std::string> labels;
    for (const SeedResult& result : results_) {
      jobs.push_back(result.job);
      labels.push_back(Label(result.seed));
    }
    progress_ = std::make_unique<GroupProgress>(around_.live, labels, jobs, around_.session.chart);
    if (std::any_of(jobs.begin(), jobs.end(),
                    [](const v1::Job& job) { return !HasEnded(job.state()); })) {
      around_.cluster.StartWorkers();
      around_.live.Print(absl::StrCat("jobs of the seeds ", absl::StrJoin(seeds_, ", "), " in ",
                                      around_.state_dir, MetricsText(around_.cluster)));
    }
    INNERLOOP_RETURN_IF_ERROR(WatchAll(client));
    if (around_.session.json) {
      for (SeedResult& result : results_) {
        INNERLOOP_ASSIGN_OR_RETURN(result.periodic, PeriodicEvaluations(client, result.job));
      }
    }
    return absl::OkStatus();
  }

  bool began() const override { return !results_.empty(); }
  uint64_t iteration() const override { return progress_ == nullptr ? 0 : progress_->iteration(); }

  absl::Status Show() const override {
    around_.session.Show(GroupJson(around_.prepared.resolved.name(), results_),
                         GroupText(results_));
    for (const SeedResult& result : results_) {
      if (const absl::Status outcome = OutcomeOf(result.job); !outcome.ok()) {
        return {outcome.code(),
                absl::StrCat(Label(result.seed), ": ", absl::string_view(outcome.message()))};
      }
    }
    return absl::OkStatus();
  }

 private:
  v1::JobSpec Wanted(uint64_t seed) const {
    v1::JobSpec wanted = around_.prepared.resolved;
    wanted.set_seed(seed);
    wanted.set_name(NameWithSeed(wanted.name(), seed));
    return wanted;
  }

  bool IsAsked(uint64_t seed) const {
    return std::find(seeds_.begin(), seeds_.end(), seed) != seeds_.end();
  }

  // A job for each seed. Those of other seeds that an earlier call left unfinished are paused, so
  // that they take no time from these.
  absl::Status SubmitOrContinue(TrainingClient& client) {
    RunFolder folder(around_.state_dir, around_.prepared, client, around_.live);
    INNERLOOP_ASSIGN_OR_RETURN(const std::vector<v1::Job> there, client.List());
    if (!there.empty()) {
      INNERLOOP_ASSIGN_OR_RETURN(const v1::Job last, client.Get(there.back().id()));
      INNERLOOP_RETURN_IF_ERROR(folder.CheckSame(last.spec(), Wanted(last.spec().seed())));
    }
    for (const v1::Job& job : there) {
      if (!IsAsked(job.spec().seed()) && !HasEnded(job.state()) &&
          job.state() != v1::JOB_STATE_PAUSED) {
        INNERLOOP_RETURN_IF_ERROR(client.Pause(job.id()).status());
      }
    }
    for (const uint64_t seed : seeds_) {
      const auto found = std::find_if(there.rbegin(), there.rend(), [seed](const v1::Job& job) {
        return job.spec().seed() == seed;
      });
      INNERLOOP_ASSIGN_OR_RETURN(
          v1::Job job,
          folder.SubmitOrContinue(Wanted(seed), found == there.rend() ? "" : found->id()));
      const EarlierRuns earlier = HasEnded(job.state()) ? EarlierRuns() : EarlierRuns(job);
      results_.push_back({.seed = seed, .job = std::move(job), .periodic = {}, .earlier = earlier});
    }
    return absl::OkStatus();
  }

  // Each job has a thread that follows it, because a watch blocks.
  absl::Status WatchAll(TrainingClient& client) {
    std::vector<absl::Status> ends(results_.size());
    std::vector<std::thread> threads;
    for (size_t i = 0; i < results_.size(); ++i) {
      if (HasEnded(results_[i].job.state())) {
        continue;
      }
      threads.emplace_back([this, i, &client, &end = ends[i]] {
        TrainingClient::Watcher watcher{
            .on_events = [this, i](const v1::JobEvents& events) { progress_->OnEvents(i, events); },
            .on_break = {}};
        v1::Job& job = results_[i].job;
        absl::StatusOr<v1::Job> ended = client.Watch(job.id(), job.iteration(), watcher);
        end = ended.status();
        if (ended.ok()) {
          job = *std::move(ended);
        }
      });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
    for (const absl::Status& end : ends) {
      INNERLOOP_RETURN_IF_ERROR(end);
    }
    return absl::OkStatus();
  }

  const RunSurroundings around_;
  const std::vector<uint64_t> seeds_;
  std::vector<SeedResult> results_;
  std::unique_ptr<GroupProgress> progress_;
};

}  // namespace

std::unique_ptr<TrainingRun> RunOfSeeds(const RunSurroundings& surroundings,
                                        std::vector<uint64_t> seeds) {
  return std::make_unique<SeedJobs>(surroundings, std::move(seeds));
}

}  // namespace innerloop::client
