#include "client/commands/train.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/commands/job_file.h"
#include "client/commands/outcome.h"
#include "client/commands/watching.h"
#include "client/local/local_run.h"
#include "client/render/numbers.h"
#include "client/render/progress.h"
#include "core/job/check_data.h"
#include "core/job/job_spec.h"
#include "core/support/status_macros.h"

namespace innerloop::client {
namespace {

struct PreparedJob {
  v1::JobSpec resolved;
  std::optional<DataSetFile> data_set;
};

absl::StatusOr<PreparedJob> Prepare(const TrainOptions& options) {
  INNERLOOP_ASSIGN_OR_RETURN(const v1::JobSpec spec, LoadJob(options.job, options.set));
  for (const std::string& flag : options.data) {
    INNERLOOP_RETURN_IF_ERROR(ParseDataFlag(flag).status());
  }
  PreparedJob prepared;
  v1::DataSetDescription description;
  if (const std::optional<std::string> name = DataSetOf(spec)) {
    INNERLOOP_ASSIGN_OR_RETURN(prepared.data_set, FindDataSet(*name, options.data));
    INNERLOOP_ASSIGN_OR_RETURN(description, DescribeDataSet(*prepared.data_set));
  }
  INNERLOOP_ASSIGN_OR_RETURN(prepared.resolved,
                             ResolveJobSpec(spec, prepared.data_set ? &description : nullptr));
  if (prepared.data_set) {
    INNERLOOP_ASSIGN_OR_RETURN(const auto examples, Dataset::Open(prepared.data_set->path));
    INNERLOOP_RETURN_IF_ERROR(CheckJobAgainstData(prepared.resolved, *examples));
  }
  return prepared;
}

// A new folder for a new run: innerloop-runs/sinusoid_maml-20260131-235959.
std::string NewStateDir(const std::string& job_file, absl::Time now) {
  const std::string base =
      absl::StrCat("innerloop-runs/", std::filesystem::path(job_file).stem().string(), "-",
                   absl::FormatTime("%Y%m%d-%H%M%S", now, absl::LocalTimeZone()));
  std::string folder = base;
  for (int i = 2; std::filesystem::exists(folder); ++i) {
    folder = absl::StrCat(base, "-", i);
  }
  return folder;
}

// The latest job in the folder, brought to what is asked for; or a new one. INVALID_ARGUMENT when
// the folder holds something else.
absl::StatusOr<v1::Job> SubmitOrContinue(TrainingClient& client, const PreparedJob& prepared,
                                         const std::string& state_dir, LiveLine& live) {
  const v1::JobSpec& wanted = prepared.resolved;
  INNERLOOP_ASSIGN_OR_RETURN(const std::vector<v1::Job> jobs, client.List());
  const auto latest =
      std::max_element(jobs.begin(), jobs.end(), [](const v1::Job& a, const v1::Job& b) {
        return std::make_pair(a.submitted().seconds(), a.submitted().nanos()) <
               std::make_pair(b.submitted().seconds(), b.submitted().nanos());
      });
  if (latest == jobs.end()) {
    return client.Submit(wanted);
  }
  v1::Job job = *latest;
  const std::vector<std::string> differences = SpecDifferences(job.spec(), wanted);
  if (!differences.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(state_dir,
                     " holds a run of another job, which this one cannot go on from (there against "
                     "here): ",
                     absl::StrJoin(differences, "; "), "; give another --state-dir"));
  }
  if (wanted.iterations() < job.spec().iterations()) {
    return absl::InvalidArgumentError(
        absl::StrCat(state_dir, " holds a run of ", Count(job.spec().iterations()), " iterations, ",
                     Count(job.iteration()), " of them done, and cannot go back to ",
                     Count(wanted.iterations()), "; give another --state-dir"));
  }
  if (job.state() == v1::JOB_STATE_FAILED || job.state() == v1::JOB_STATE_CANCELLED) {
    live.Print(absl::StrCat("job ", job.id(), " in ", state_dir, " ended as ",
                            StateName(job.state()), "; starting anew"));
    return client.Submit(wanted);
  }
  if (wanted.iterations() > job.spec().iterations()) {
    INNERLOOP_ASSIGN_OR_RETURN(job, client.Extend(job.id(), wanted.iterations()));
  }
  if (job.state() == v1::JOB_STATE_PAUSED) {
    INNERLOOP_ASSIGN_OR_RETURN(job, client.Resume(job.id()));
  }
  if (!HasEnded(job.state())) {
    live.Print(
        absl::StrCat("going on with job ", job.id(), " at iteration ", Count(job.iteration())));
  }
  return job;
}

// What happens on the cluster that runs: everything up to the job's end.
absl::StatusOr<v1::Job> RunJob(const PreparedJob& prepared, const std::string& state_dir,
                               Session& session, LocalCluster& cluster, LiveLine& live,
                               Progress& progress) {
  TrainingClient client = session.PatientClient(cluster.address());
  if (prepared.data_set) {
    INNERLOOP_RETURN_IF_ERROR(client
                                  .UploadDataSet(prepared.data_set->name, prepared.data_set->path,
                                                 TransferLine(live, prepared.data_set->path))
                                  .status());
  }
  INNERLOOP_ASSIGN_OR_RETURN(const v1::Job job,
                             SubmitOrContinue(client, prepared, state_dir, live));
  if (HasEnded(job.state())) {
    return job;
  }
  cluster.StartWorkers();
  const std::string metrics = cluster.metrics_address();
  live.Print(absl::StrCat(
      "job ", job.id(), " in ", state_dir,
      metrics.empty() ? "" : absl::StrCat(", metrics at http://", metrics, "/metrics")));
  v1::JobEvents begun;
  *begun.mutable_job() = job;
  progress.OnEvents(begun);
  return client.Watch(job.id(), job.iteration(), WatchWith(progress, live));
}

}  // namespace

int CoreCount() { return static_cast<int>(std::max(1U, std::thread::hardware_concurrency())); }

absl::Status Train(const TrainOptions& options, Session& session) {
  INNERLOOP_ASSIGN_OR_RETURN(const PreparedJob prepared, Prepare(options));
  const Surroundings& surroundings = session.surroundings;
  const std::string state_dir = options.state_dir.empty()
                                    ? NewStateDir(options.job, surroundings.clock->Now())
                                    : options.state_dir;

  LiveLine live(session.Live());
  Progress progress(live);
  LocalRun run(session.cancellation);
  INNERLOOP_RETURN_IF_ERROR(
      run.Start({.state_dir = std::filesystem::absolute(state_dir).lexically_normal().string(),
                 .program_folder = surroundings.program_folder,
                 .metrics_listen = options.metrics_listen,
                 .workers = options.workers > 0 ? options.workers : CoreCount(),
                 .slots = options.slots,
                 .notice = [&live](const std::string& notice) { live.Print(notice); }}));
  const absl::StatusOr<v1::Job> job =
      RunJob(prepared, state_dir, session, run.cluster(), live, progress);
  const bool interrupted = absl::IsCancelled(session.cancellation.status());
  if (interrupted) {
    live.Print("stopping: finishing the iteration and writing a checkpoint (again to kill)");
  }
  const bool graceful = run.Stop();
  live.Close();
  if (interrupted && !job.ok()) {
    return absl::CancelledError(absl::StrCat(
        graceful ? "stopped" : "killed", " at about iteration ", Count(progress.iteration()),
        "; to go on: innerloop train ", options.job, " --state-dir ", state_dir,
        options.set.empty() ? "" : " with the same --set"));
  }
  INNERLOOP_RETURN_IF_ERROR(job.status());
  session.Show(ResultJson(*job), ResultText(*job));
  return OutcomeOf(*job);
}

}  // namespace innerloop::client
