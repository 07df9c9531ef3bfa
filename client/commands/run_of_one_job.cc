#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/commands/outcome.h"
#include "client/commands/training_run.h"
#include "client/commands/watching.h"
#include "client/render/progress.h"
#include "core/support/status_macros.h"

namespace innerloop::client {
namespace {

class OneJob final : public TrainingRun {
 public:
  explicit OneJob(const RunSurroundings& surroundings)
      : around_(surroundings), progress_(around_.live, around_.session.chart) {}

  absl::Status ToEnd() override {
    // Gone before the cluster is stopped: the coordinator gives connections at rest two seconds.
    TrainingClient client = around_.session.PatientClient(around_.cluster.address());
    INNERLOOP_ASSIGN_OR_RETURN(const std::vector<v1::Job> jobs, client.List());
    RunFolder folder(around_.state_dir, around_.prepared, client, around_.live);
    INNERLOOP_ASSIGN_OR_RETURN(job_, folder.SubmitOrContinue(around_.prepared.resolved,
                                                             jobs.empty() ? "" : jobs.back().id()));
    began_ = true;
    if (!HasEnded(job_.state())) {
      earlier_ = EarlierRuns(job_);
      around_.cluster.StartWorkers();
      around_.live.Print(
          absl::StrCat("job ", job_.id(), " in ", around_.state_dir, MetricsText(around_.cluster)));
      v1::JobEvents begun;
      *begun.mutable_job() = job_;
      progress_.OnEvents(begun);
      INNERLOOP_ASSIGN_OR_RETURN(
          job_, client.Watch(job_.id(), job_.iteration(), WatchWith(progress_, around_.live)));
    }
    if (around_.session.json) {
      INNERLOOP_ASSIGN_OR_RETURN(periodic_, PeriodicEvaluations(client, job_));
    }
    return absl::OkStatus();
  }

  bool began() const override { return began_; }
  uint64_t iteration() const override { return progress_.iteration(); }

  absl::Status Show() const override {
    around_.session.Show(ResultJson(job_, periodic_, earlier_), ResultText(job_, earlier_));
    return OutcomeOf(job_);
  }

 private:
  const RunSurroundings around_;
  Progress progress_;
  bool began_ = false;
  v1::Job job_;
  EarlierRuns earlier_;
  std::vector<v1::Evaluation> periodic_;
};

}  // namespace

std::unique_ptr<TrainingRun> RunOfOneJob(const RunSurroundings& surroundings) {
  return std::make_unique<OneJob>(surroundings);
}

absl::StatusOr<std::vector<v1::Evaluation>> PeriodicEvaluations(TrainingClient& client,
                                                                const v1::Job& job) {
  std::vector<v1::Evaluation> evaluations;
  if (job.spec().evaluation().every() == 0) {
    return evaluations;
  }
  INNERLOOP_RETURN_IF_ERROR(
      client
          .Watch(job.id(), 0,
                 {.on_events =
                      [&](const v1::JobEvents& events) {
                        std::copy_if(events.evaluations().begin(), events.evaluations().end(),
                                     std::back_inserter(evaluations),
                                     [](const auto& evaluation) { return evaluation.periodic(); });
                      }})
          .status());
  return evaluations;
}

std::string MetricsText(const LocalCluster& cluster) {
  const std::string metrics = cluster.metrics_address();
  return metrics.empty() ? "" : absl::StrCat(", metrics at http://", metrics, "/metrics");
}

}  // namespace innerloop::client
