#include "client/commands/run_folder.h"

#include <algorithm>

#include <google/protobuf/util/message_differencer.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/types/span.h"
#include "client/commands/watching.h"
#include "client/render/numbers.h"
#include "client/render/views.h"
#include "core/job/check_data.h"
#include "core/job/job_spec.h"
#include "core/support/status_macros.h"

namespace innerloop::client {
namespace {

// A job of another kind differs in dozens of fields.
constexpr size_t kDifferencesShown = 3;

}  // namespace

absl::StatusOr<PreparedJob> PrepareJob(const std::string& file,
                                       const std::vector<std::string>& assignments,
                                       const std::vector<std::string>& data_flags) {
  INNERLOOP_ASSIGN_OR_RETURN(const v1::JobSpec spec, LoadJob(file, assignments));
  const std::optional<std::string> name = DataSetOf(spec);
  INNERLOOP_RETURN_IF_ERROR(CheckDataFlags(data_flags, name));
  PreparedJob prepared{.model_file = spec.model().torchscript().file()};
  if (!name) {
    INNERLOOP_ASSIGN_OR_RETURN(prepared.resolved, ResolveJobSpec(spec, nullptr));
    return prepared;
  }
  INNERLOOP_ASSIGN_OR_RETURN(prepared.data_set, FindDataSet(spec.tasks(), data_flags));
  INNERLOOP_ASSIGN_OR_RETURN(const OpenedDataSet opened, OpenDataSet(*prepared.data_set));
  INNERLOOP_ASSIGN_OR_RETURN(prepared.resolved, ResolveJobSpec(spec, &opened.description));
  INNERLOOP_RETURN_IF_ERROR(CheckJobAgainstData(prepared.resolved, *opened.examples));
  return prepared;
}

absl::StatusOr<v1::Job> RunFolder::SubmitOrContinue(v1::JobSpec wanted, const std::string& found) {
  if (found.empty()) {
    return Submit(wanted);
  }
  // A list of jobs leaves parts of their specs out.
  INNERLOOP_ASSIGN_OR_RETURN(v1::Job job, client_.Get(found));
  INNERLOOP_RETURN_IF_ERROR(CheckContinues(job, wanted));
  if (job.state() == v1::JOB_STATE_FAILED || job.state() == v1::JOB_STATE_CANCELLED) {
    live_.Print(absl::StrCat("job ", job.id(), " in ", path_, " ended as ", StateName(job.state()),
                             "; starting anew"));
    return Submit(wanted);
  }
  // What people said about the job stays unless they say something else now.
  if (wanted.labels().empty()) {
    *wanted.mutable_labels() = job.spec().labels();
  }
  if (wanted.note().empty()) {
    wanted.set_note(job.spec().note());
  }
  if (!google::protobuf::util::MessageDifferencer::Equals(job.spec(), wanted)) {
    INNERLOOP_ASSIGN_OR_RETURN(job, client_.Revise(job.id(), wanted));
  }
  if (job.state() == v1::JOB_STATE_PAUSED) {
    INNERLOOP_ASSIGN_OR_RETURN(job, client_.Resume(job.id()));
  }
  if (!HasEnded(job.state())) {
    live_.Print(
        absl::StrCat("going on with job ", job.id(), " at iteration ", Count(job.iteration())));
  }
  return job;
}

absl::Status RunFolder::CheckSame(const v1::JobSpec& there, const v1::JobSpec& wanted) const {
  const std::vector<std::string> differences = SpecDifferences(there, wanted);
  if (differences.empty()) {
    return absl::OkStatus();
  }
  const size_t shown = std::min(differences.size(), kDifferencesShown);
  return absl::InvalidArgumentError(absl::StrCat(
      path_, " holds a run of another job, which this one cannot go on from (there against here): ",
      absl::StrJoin(absl::MakeConstSpan(differences).first(shown), "; "),
      differences.size() > shown ? absl::StrCat("; and ", differences.size() - shown, " more") : "",
      ": give another --state-dir"));
}

absl::StatusOr<v1::Job> RunFolder::Submit(const v1::JobSpec& wanted) {
  if (const std::optional<DataSetFile>& data_set = prepared_.data_set) {
    INNERLOOP_RETURN_IF_ERROR(
        client_.UploadDataSet(data_set->name, data_set->path, TransferLine(live_, data_set->path))
            .status());
  }
  if (!prepared_.model_file.empty()) {
    INNERLOOP_RETURN_IF_ERROR(
        client_.UploadModel(prepared_.model_file, TransferLine(live_, prepared_.model_file)));
  }
  return client_.Submit(wanted);
}

absl::Status RunFolder::CheckContinues(const v1::Job& job, const v1::JobSpec& wanted) const {
  INNERLOOP_RETURN_IF_ERROR(CheckSame(job.spec(), wanted));
  if (wanted.iterations() < job.spec().iterations()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path_, " holds a run of ", Count(job.spec().iterations()), " iterations, ",
                     Count(job.iteration()), " of them done, and cannot go back to ",
                     Count(wanted.iterations()), "; give another --state-dir"));
  }
  return absl::OkStatus();
}

}  // namespace innerloop::client
