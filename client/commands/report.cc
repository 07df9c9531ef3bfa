#include "client/commands/report.h"

#include <filesystem>
#include <set>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "client/api/upkeep_client.h"
#include "client/local/local_run.h"
#include "client/local/state_copy.h"
#include "client/local/temporary_folder.h"
#include "client/render/numbers.h"
#include "client/report/history.h"
#include "client/report/page.h"
#include "client/report/report_data.h"
#include "core/support/file_system.h"
#include "core/support/status_macros.h"

namespace innerloop::client {
namespace {

constexpr char kDefaultFile[] = "innerloop-report.html";

// The jobs of a run that nobody serves now.
absl::Status AddFolder(const std::string& folder, Session& session, LiveLine& live,
                       std::vector<Json>& jobs) {
  INNERLOOP_ASSIGN_OR_RETURN(const TemporaryFolder copy, TemporaryFolder::Create());
  INNERLOOP_RETURN_IF_ERROR(CopyState(folder, copy.path()));
  LocalRun run(session.cancellation);
  INNERLOOP_RETURN_IF_ERROR(
      run.Start({.state_dir = copy.path(),
                 .program_folder = session.surroundings.program_folder,
                 .metrics_listen = "",
                 .at_rest = true,
                 .notice = [&live](const std::string& notice) { live.Print(notice); }}));
  ClientOptions options = session.client;
  options.coordinator = run.cluster().address();
  options.security = {};
  TrainingClient client(options, session.cancellation);
  UpkeepClient upkeep(options, session.cancellation);
  INNERLOOP_ASSIGN_OR_RETURN(const std::vector<v1::Job> found, client.List());
  const size_t before = jobs.size();
  for (const v1::Job& job : found) {
    if (job.iteration() > 0) {
      INNERLOOP_ASSIGN_OR_RETURN(const JobHistory history, FetchHistory(job.id(), client, upkeep));
      jobs.push_back(ReportOfJob(history));
    }
  }
  run.Stop();
  return jobs.size() > before
             ? absl::OkStatus()
             : absl::InvalidArgumentError(
                   absl::StrCat(folder, " has no history to report: no job has done an iteration"));
}

absl::Status AddSource(const std::string& source, Session& session, LiveLine& live,
                       std::vector<Json>& jobs) {
  std::error_code error;
  if (std::filesystem::is_directory(source, error)) {
    return AddFolder(source, session, live, jobs);
  }
  if (std::filesystem::exists(source, error) || absl::StrContains(source, "/") ||
      absl::EndsWith(source, ".json")) {
    INNERLOOP_ASSIGN_OR_RETURN(std::vector<Json> read, ReadReport(source));
    for (Json& job : read) {
      jobs.push_back(std::move(job));
    }
    return absl::OkStatus();
  }
  TrainingClient client = session.Client();
  UpkeepClient upkeep(session.client, session.cancellation);
  INNERLOOP_ASSIGN_OR_RETURN(const JobHistory history, FetchHistory(source, client, upkeep));
  jobs.push_back(ReportOfJob(history));
  return absl::OkStatus();
}

absl::Status CheckEachOnce(const std::vector<Json>& jobs) {
  std::set<std::string> seen;
  for (const Json& job : jobs) {
    const std::string id = job.value("job", "");
    if (!seen.insert(id).second) {
      return absl::InvalidArgumentError(absl::StrCat("job ", id, " is given twice"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status Report(const ReportOptions& options, Session& session) {
  std::vector<Json> jobs;
  {
    LiveLine live(session.Live());
    for (const std::string& source : options.sources) {
      INNERLOOP_RETURN_IF_ERROR(AddSource(source, session, live, jobs));
    }
  }
  INNERLOOP_RETURN_IF_ERROR(CheckEachOnce(jobs));
  const Json data = ReportOf(jobs, session.surroundings.clock->Now());
  if (session.json && options.out.empty()) {
    session.out() << JsonLine(data);
    return absl::OkStatus();
  }
  const std::string file = options.out.empty() ? kDefaultFile : options.out;
  const std::string text = session.json ? JsonLine(data) : ReportPage(data);
  INNERLOOP_RETURN_IF_ERROR(FileSystem::Real().Replace(file, {text}));
  session.Show({{"file", file}, {"jobs", jobs.size()}},
               absl::StrCat(file, ": ", jobs.size(), jobs.size() == 1 ? " job, " : " jobs, ",
                            Bytes(text.size()), "\n"));
  return absl::OkStatus();
}

}  // namespace innerloop::client
