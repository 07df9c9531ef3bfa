#include "client/commands/jobs.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "client/commands/job_file.h"
#include "client/commands/outcome.h"
#include "client/commands/watching.h"
#include "client/local/signal_watch.h"
#include "client/render/progress.h"
#include "core/job/check_data.h"
#include "core/job/job_spec.h"
#include "core/support/status_macros.h"

namespace innerloop::client {
namespace {

Json JsonArray(const auto& items, const auto& to_json) {
  Json array = Json::array();
  for (const auto& item : items) {
    array.push_back(to_json(item));
  }
  return array;
}

// One line on what a command did to a job.
void ShowChange(const v1::Job& job, const Session& session) {
  session.Show(JobJson(job), absl::StrCat("job ", job.id(), " ", StateName(job.state()),
                                          " at iteration ", job.iteration(), "\n"));
}

// Describes the data set of a job and sees to it that the coordinator has it. A file given by a
// flag comes first, then what the coordinator calls by that name, then $INNERLOOP_DATA.
absl::StatusOr<std::optional<v1::DataSetDescription>> ProvideDataSet(const v1::JobSpec& spec,
                                                                     const SubmitOptions& options,
                                                                     TrainingClient& client,
                                                                     LiveLine& live) {
  const std::optional<std::string> name = DataSetOf(spec);
  INNERLOOP_RETURN_IF_ERROR(CheckDataFlags(options.data, name));
  if (!name) {
    return std::nullopt;
  }
  if (options.data.empty()) {
    INNERLOOP_ASSIGN_OR_RETURN(const std::vector<v1::DataSetDescription> known,
                               client.ListDataSets());
    for (const v1::DataSetDescription& data_set : known) {
      if (data_set.name() == *name) {
        return data_set;
      }
    }
  }
  INNERLOOP_ASSIGN_OR_RETURN(const DataSetFile file, FindDataSet(spec.tasks(), options.data));
  // Said before the upload, which may take long: whether the job fits the data set at all.
  INNERLOOP_ASSIGN_OR_RETURN(const OpenedDataSet opened, OpenDataSet(file));
  INNERLOOP_ASSIGN_OR_RETURN(const v1::JobSpec resolved, ResolveJobSpec(spec, &opened.description));
  INNERLOOP_RETURN_IF_ERROR(CheckJobAgainstData(resolved, *opened.examples));
  INNERLOOP_RETURN_IF_ERROR(
      client.UploadDataSet(file.name, file.path, TransferLine(live, file.path)).status());
  return opened.description;
}

// Ctrl-C ends the watch, not the job.
constexpr char kInterrupted[] = "interrupted; the job goes on";

absl::Status Follow(const std::string& id, uint64_t from_iteration, Session& session) {
  TrainingClient client = session.Client();
  LiveLine live(session.Live());
  Progress progress(live, session.chart);
  TrainingClient::Watcher watcher = WatchWith(progress, live);
  if (session.json) {
    watcher.on_events = [&session, spec = v1::JobSpec()](const v1::JobEvents& events) mutable {
      if (events.has_job()) {
        spec = events.job().spec();
      }
      for (const v1::IterationRecord& record : events.iterations()) {
        session.out() << JsonLine({{"iteration", IterationJson(record)}});
      }
      for (const v1::Evaluation& evaluation : events.evaluations()) {
        session.out() << JsonLine({{"evaluation", EvaluationJson(evaluation, spec)}});
      }
      session.out() << std::flush;
    };
  }
  INNERLOOP_ASSIGN_OR_RETURN(const v1::Job job, client.Watch(id, from_iteration, watcher));
  live.Close();
  session.Show({{"job", JobJson(job)}}, ResultText(job, EarlierRuns()));
  return OutcomeOf(job);
}

}  // namespace

absl::Status SubmitJob(const SubmitOptions& options, Session& session) {
  std::optional<SignalWatch> signals;
  if (options.watch) {
    signals.emplace(Interrupter(session, kInterrupted));
  }
  INNERLOOP_ASSIGN_OR_RETURN(v1::JobSpec spec, LoadJob(options.job, options.set));
  INNERLOOP_RETURN_IF_ERROR(ApplyWords(options.words, spec));
  TrainingClient client = session.Client();
  v1::Job job;
  {
    LiveLine live(session.Live());
    INNERLOOP_ASSIGN_OR_RETURN(const std::optional<v1::DataSetDescription> data_set,
                               ProvideDataSet(spec, options, client, live));
    INNERLOOP_ASSIGN_OR_RETURN(const v1::JobSpec resolved,
                               ResolveJobSpec(spec, data_set ? &*data_set : nullptr));
    if (const std::string& model = spec.model().torchscript().file(); !model.empty()) {
      INNERLOOP_RETURN_IF_ERROR(client.UploadModel(model, TransferLine(live, model)));
    }
    INNERLOOP_ASSIGN_OR_RETURN(job, client.Submit(resolved));
    if (!options.watch) {  // which tells them
      for (const std::string& warning : job.warnings()) {
        live.Print(absl::StrCat("warning: ", warning));
      }
    }
  }
  if (!options.watch || !session.json) {
    ShowChange(job, session);
  }
  return options.watch ? Follow(job.id(), 0, session) : absl::OkStatus();
}

absl::Status ListJobs(const std::vector<std::string>& labels, Session& session) {
  INNERLOOP_ASSIGN_OR_RETURN(std::vector<v1::Job> jobs, session.Client().List());
  jobs.erase(std::remove_if(jobs.begin(), jobs.end(),
                            [&](const v1::Job& job) { return !HasLabels(job.spec(), labels); }),
             jobs.end());
  std::stable_sort(jobs.begin(), jobs.end(), [](const v1::Job& a, const v1::Job& b) {
    return a.submitted().seconds() < b.submitted().seconds();
  });
  session.Show(JsonArray(jobs, JobJson), jobs.empty() ? "no jobs\n" : JobsTable(jobs));
  return absl::OkStatus();
}

absl::Status ShowJob(const std::string& id, bool spec_alone, Session& session) {
  INNERLOOP_ASSIGN_OR_RETURN(const v1::Job job, session.Client().Get(id));
  if (spec_alone) {
    session.Show(SpecJson(job.spec()), JobFileText(job.spec()));
    return absl::OkStatus();
  }
  session.Show(JobJson(job), absl::StrCat(JobText(job), "\n", SpecText(job.spec())));
  return absl::OkStatus();
}

absl::Status WatchJob(const std::string& id, uint64_t from_iteration, Session& session) {
  const SignalWatch signals(Interrupter(session, kInterrupted));
  return Follow(id, from_iteration, session);
}

absl::Status CancelJob(const std::string& id, Session& session) {
  INNERLOOP_ASSIGN_OR_RETURN(const v1::Job job, session.Client().Cancel(id));
  if (HasEnded(job.state()) && job.state() != v1::JOB_STATE_CANCELLED) {
    session.Show(JobJson(job), absl::StrCat("job ", job.id(), " had ended already (",
                                            StateName(job.state()), ")\n"));
  } else {
    ShowChange(job, session);
  }
  return absl::OkStatus();
}

absl::Status PauseJob(const std::string& id, Session& session) {
  INNERLOOP_ASSIGN_OR_RETURN(const v1::Job job, session.Client().Pause(id));
  ShowChange(job, session);
  return absl::OkStatus();
}

absl::Status ResumeJob(const std::string& id, Session& session) {
  INNERLOOP_ASSIGN_OR_RETURN(const v1::Job job, session.Client().Resume(id));
  ShowChange(job, session);
  return absl::OkStatus();
}

absl::Status DeleteJob(const std::string& id, Session& session) {
  INNERLOOP_RETURN_IF_ERROR(session.Client().Delete(id));
  session.Show({{"job", id}, {"deleted", true}}, absl::StrCat("job ", id, " deleted\n"));
  return absl::OkStatus();
}

absl::Status ListWorkers(Session& session) {
  INNERLOOP_ASSIGN_OR_RETURN(const std::vector<v1::WorkerInfo> workers,
                             session.Client().ListWorkers());
  session.Show(JsonArray(workers, WorkerJson),
               workers.empty() ? "no workers\n" : WorkersTable(workers));
  return absl::OkStatus();
}

}  // namespace innerloop::client
