#include "client/commands/words.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/job/job_spec.h"
#include "core/support/status_macros.h"

namespace innerloop::client {
namespace {

absl::Status ApplyLabel(const std::string& label, v1::JobSpec& spec) {
  const size_t equals = label.find('=');
  if (equals != std::string::npos) {
    (*spec.mutable_labels())[label.substr(0, equals)] = label.substr(equals + 1);
    return absl::OkStatus();
  }
  if (label.empty() || label.back() != '-') {
    return absl::InvalidArgumentError(
        absl::StrCat("'", label, "' is no label; write KEY=VALUE, or KEY- to take one away"));
  }
  const std::string key = label.substr(0, label.size() - 1);
  if (spec.mutable_labels()->erase(key) == 0) {
    return absl::InvalidArgumentError(absl::StrCat("there is no label '", key, "' to take away"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ApplyWords(const Words& words, v1::JobSpec& spec) {
  if (!words.name.empty()) {
    spec.set_name(words.name);
  }
  for (const std::string& label : words.labels) {
    INNERLOOP_RETURN_IF_ERROR(ApplyLabel(label, spec));
  }
  if (words.note.has_value()) {
    spec.set_note(*words.note);
  }
  return CheckWords(spec);
}

bool HasLabels(const v1::JobSpec& spec, const std::vector<std::string>& labels) {
  return std::all_of(labels.begin(), labels.end(), [&spec](const std::string& label) {
    const size_t equals = label.find('=');
    const auto found = spec.labels().find(label.substr(0, equals));
    return found != spec.labels().end() &&
           (equals == std::string::npos || found->second == label.substr(equals + 1));
  });
}

absl::Status ChangeWords(const std::string& job, const Words& words, Session& session) {
  TrainingClient client = session.Client();
  INNERLOOP_ASSIGN_OR_RETURN(v1::Job there, client.Get(job));
  v1::JobSpec spec = there.spec();
  INNERLOOP_RETURN_IF_ERROR(ApplyWords(words, spec));
  INNERLOOP_ASSIGN_OR_RETURN(there, client.Revise(job, spec));
  Json json;
  json["job"] = there.id();
  json["name"] = there.spec().name();
  json["labels"] = LabelsJson(there.spec());
  json["note"] = there.spec().note();
  session.Show(json, absl::StrCat("job ", there.id(), ": ", LabelsText(there.spec()),
                                  there.spec().labels().empty() ? "no labels" : "",
                                  there.spec().note().empty() ? "" : ", with a note", "\n"));
  return absl::OkStatus();
}

}  // namespace innerloop::client
