#include "server/tensorboard/job_board.h"

#include <algorithm>
#include <utility>

#include <google/protobuf/text_format.h>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "core/support/file_system.h"
#include "core/support/status_macros.h"
#include "server/jobs/job_machine.h"
#include "spdlog/spdlog.h"

namespace innerloop::server {
namespace {

constexpr char kSpecTag[] = "job/specification";
constexpr size_t kMostNameBytes = 100;

// As a part of a path, for any name.
std::string FolderName(std::string name) {
  name.resize(std::min(name.size(), kMostNameBytes));
  for (char& character : name) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(character)) &&
        !absl::StrContains("-_.", absl::string_view(&character, 1))) {
      character = '_';
    }
  }
  return name;
}

// Indented lines are code in Markdown, whatever they hold.
std::string SpecText(const v1::JobSpec& spec) {
  std::string text;
  google::protobuf::TextFormat::PrintToString(spec, &text);
  return absl::StrCat("    ",
                      absl::StrReplaceAll(absl::StripSuffix(text, "\n"), {{"\n", "\n    "}}));
}

void AddScalar(tensorboard::Summary& summary, std::string tag, std::string description,
               double value) {
  tensorboard::Summary::Value& scalar = *summary.add_value();
  scalar.set_tag(std::move(tag));
  scalar.mutable_metadata()->mutable_plugin_data()->set_plugin_name("scalars");
  scalar.mutable_metadata()->set_summary_description(std::move(description));
  scalar.set_simple_value(static_cast<float>(value));
}

}  // namespace

double JobBoard::Now() const { return absl::ToDoubleSeconds(clock_.Now() - absl::UnixEpoch()); }

void JobBoard::SetJob(const v1::Job& job) {
  version_ = job.iteration();
  std::string text = SpecText(job.spec());
  if (text != spec_text_) {
    spec_text_ = std::move(text);
    spec_is_new_ = true;
  }
}

tensorboard::Summary& JobBoard::AddSummary(uint64_t step, double wall_time) {
  tensorboard::Event& event = events_.emplace_back();
  event.set_step(static_cast<int64_t>(step));
  event.set_wall_time(wall_time);
  return *event.mutable_summary();
}

void JobBoard::AddMeans(const IterationMeans& means, double wall_time) {
  tensorboard::Summary& summary = AddSummary(means.step, wall_time);
  for (const MeanMeasure& measure : means.measures) {
    AddScalar(summary, measure.tag, measure.description, measure.value);
  }
}

void JobBoard::AddEvaluation(const v1::Evaluation& evaluation, double wall_time) {
  tensorboard::Summary& summary = AddSummary(evaluation.iteration(), wall_time);
  const std::string split = absl::AsciiStrToLower(
      absl::StripPrefix(v1::Split_Name(evaluation.protocol().split()), "SPLIT_"));
  const std::string of =
      absl::StrCat("mean over ", evaluation.protocol().episodes(), " ", split, " tasks");
  for (const v1::StepMeasure& measure : evaluation.steps()) {
    const auto tag = [&](const char* name) {
      return absl::StrCat("evaluation/", split, "/", name, "/step_", measure.step());
    };
    AddScalar(summary, tag("loss"), absl::StrCat("Query loss, ", of), measure.loss());
    if (measure.has_accuracy()) {
      AddScalar(summary, tag("accuracy"), absl::StrCat("Fraction of query examples right, ", of),
                measure.accuracy());
    }
  }
}

void JobBoard::Add(absl::Span<const v1::IterationRecord> iterations,
                   absl::Span<const v1::Evaluation> evaluations) {
  const double now = Now();
  if (file_ == nullptr && events_.empty() && (!iterations.empty() || !evaluations.empty())) {
    // Training goes on from this version. What was measured up to it is not measured again; an
    // evaluation may be of any version before.
    start_ =
        1 + static_cast<int64_t>(iterations.empty() ? version_ : iterations.front().iteration());
  }
  for (const v1::IterationRecord& record : iterations) {
    if (const auto means = windows_.Add(record); means.has_value()) {
      AddMeans(*means, now - (iterations.back().seconds() - means->seconds));
    }
  }
  for (const v1::Evaluation& evaluation : evaluations) {
    AddEvaluation(evaluation, now);
  }
}

void JobBoard::Finish() {
  if (const auto means = windows_.Rest(); means.has_value()) {
    AddMeans(*means, Now());
  }
}

void JobBoard::Write() {
  if (events_.empty()) {
    return;
  }
  const absl::Status written = WriteEvents(std::exchange(events_, {}));
  if (!written.ok() && !failing_) {
    spdlog::warn("TensorBoard's events are not written: {}", std::string(written.message()));
  }
  failing_ = !written.ok();
}

absl::Status JobBoard::WriteEvents(const std::vector<tensorboard::Event>& added) {
  if (file_ == nullptr) {
    INNERLOOP_ASSIGN_OR_RETURN(file_, EventFile::Create(folder_, clock_.Now(), start_));
  }
  std::vector<tensorboard::Event> events;
  if (spec_is_new_) {
    tensorboard::Event& event = events.emplace_back();
    event.set_step(added.front().step());
    event.set_wall_time(Now());
    tensorboard::Summary::Value& text = *event.mutable_summary()->add_value();
    text.set_tag(kSpecTag);
    text.mutable_metadata()->mutable_plugin_data()->set_plugin_name("text");
    text.mutable_metadata()->set_data_class(tensorboard::SummaryMetadata::DATA_CLASS_TENSOR);
    text.mutable_tensor()->set_dtype(tensorboard::Tensor::TYPE_STRING);
    text.mutable_tensor()->mutable_tensor_shape();
    text.mutable_tensor()->add_string_val(spec_text_);
  }
  events.insert(events.end(), added.begin(), added.end());
  INNERLOOP_RETURN_IF_ERROR(file_->Append(events));
  spec_is_new_ = false;
  return absl::OkStatus();
}

JobBoards::~JobBoards() {
  for (auto& [id, board] : boards_) {
    board.Finish();
    board.Write();
  }
}

std::string JobBoards::FolderOf(const v1::Job& job) const {
  const std::string ending = absl::StrCat("-", job.id());
  if (const auto names = FileSystem::Real().List(dir_); names.ok()) {
    for (const std::string& name : *names) {
      if (absl::EndsWith(name, ending)) {
        return absl::StrCat(dir_, "/", name);
      }
    }
  }
  return absl::StrCat(dir_, "/", FolderName(job.spec().name()), ending);
}

void JobBoards::Record(const std::string& job_id, const v1::Job* job,
                       absl::Span<const v1::IterationRecord> iterations,
                       absl::Span<const v1::Evaluation> evaluations) {
  auto found = boards_.find(job_id);
  if (found == boards_.end()) {
    // A job's row is recorded before its first iteration, and nothing after its end.
    if (job == nullptr) {
      return;
    }
    found = boards_.try_emplace(job_id, FolderOf(*job), clock_).first;
  }
  JobBoard& board = found->second;
  if (job != nullptr) {
    board.SetJob(*job);
  }
  board.Add(iterations, evaluations);
  if (job != nullptr && job->state() != v1::JOB_STATE_RUNNING) {
    board.Finish();
  }
  board.Write();
  if (job != nullptr && JobMachine::Ended(job->state())) {
    boards_.erase(found);
  }
}

}  // namespace innerloop::server
