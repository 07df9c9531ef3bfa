#include "core/job/job_spec.h"

#include <algorithm>
#include <filesystem>
#include <memory>

#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/message_differencer.h>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/job/field_names.h"
#include "core/job/task_view.h"
#include "core/support/file_system.h"
#include "core/support/status_macros.h"

namespace innerloop {
namespace {

// Job files and lists of classes are small; more is a mistake.
constexpr uint64_t kMaxTextBytes = uint64_t{16} << 20;

// Keeps the first error of the text parser, with its place.
class FirstError final : public google::protobuf::io::ErrorCollector {
 public:
  explicit FirstError(absl::string_view file_name) : file_name_(file_name) {}
  void AddError(int line, google::protobuf::io::ColumnNumber column,
                const std::string& message) override {
    if (text_.empty()) {
      text_ = absl::StrCat(file_name_, ":", line + 1, ":", column + 1, ": ",
                           job::ExplainTextError(message));
    }
  }
  const std::string& text() const { return text_; }

 private:
  std::string file_name_;
  std::string text_;
};

// The Vinyals lists have Omniglot's classes four times, once for each rotation: "NAME/rot090".
absl::string_view WithoutRotation(absl::string_view name) {
  constexpr absl::string_view kMark = "/rot";
  constexpr size_t kDigits = 3;
  if (name.size() < kMark.size() + kDigits) {
    return name;
  }
  const size_t begin = name.size() - kMark.size() - kDigits;
  absl::string_view end = name.substr(begin);
  return absl::ConsumePrefix(&end, kMark) &&
                 std::all_of(end.begin(), end.end(),
                             [](unsigned char c) { return absl::ascii_isdigit(c); })
             ? name.substr(0, begin)
             : name;
}

absl::Status ReadClassNames(const std::string& folder, const std::string& path,
                            google::protobuf::RepeatedPtrField<std::string>* names) {
  if (path.empty()) {
    return absl::OkStatus();
  }
  const std::string full = (std::filesystem::path(folder) / path).string();
  INNERLOOP_ASSIGN_OR_RETURN(const std::string text, FileSystem::Real().Read(full, kMaxTextBytes));
  std::string last;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    line = WithoutRotation(absl::StripAsciiWhitespace(line));
    if (line.empty() || line == last) {
      continue;
    }
    last = std::string(line);
    names->Add()->assign(last);
  }
  if (names->empty()) {
    return absl::InvalidArgumentError(absl::StrCat("'", full, "' lists no classes"));
  }
  return absl::OkStatus();
}

// Collects differences as "path: old against new".
class Differences final : public google::protobuf::util::MessageDifferencer::Reporter {
 public:
  using Message = google::protobuf::Message;
  using Field = google::protobuf::util::MessageDifferencer::SpecificField;
  void ReportAdded(const Message&, const Message& b, const std::vector<Field>& path) override {
    Add(path, "absent", Value(b, path.back(), path.back().new_index));
  }
  void ReportDeleted(const Message& a, const Message&, const std::vector<Field>& path) override {
    Add(path, Value(a, path.back(), path.back().index), "absent");
  }
  void ReportModified(const Message& a, const Message& b, const std::vector<Field>& path) override {
    if (path.back().field->message_type() != nullptr) {
      return;  // its fields were reported
    }
    Add(path, Value(a, path.back(), path.back().index),
        Value(b, path.back(), path.back().new_index));
  }
  std::vector<std::string> lines;

 private:
  static std::string Value(const Message& message, const Field& field, int index) {
    std::string text;
    google::protobuf::TextFormat::Printer printer;
    printer.SetSingleLineMode(true);
    printer.PrintFieldValueToString(message, field.field, field.field->is_repeated() ? index : -1,
                                    &text);
    return text;
  }
  void Add(const std::vector<Field>& path, absl::string_view a, absl::string_view b) {
    std::string name;
    for (const Field& field : path) {
      absl::StrAppend(&name, name.empty() ? "" : ".", field.field->name());
      if (field.field->is_repeated()) {
        absl::StrAppend(&name, "[", field.index >= 0 ? field.index : field.new_index, "]");
      }
    }
    lines.push_back(absl::StrCat(name, ": ", a, " against ", b));
  }
};

}  // namespace

absl::StatusOr<v1::JobSpec> ParseJobSpec(absl::string_view text, absl::string_view file_name) {
  if (text.size() > kMaxTextBytes) {
    return absl::InvalidArgumentError(absl::StrCat(file_name, ": too long for a job file"));
  }
  v1::JobSpec spec;
  if (absl::StartsWith(absl::StripLeadingAsciiWhitespace(text), "{")) {
    const auto status = google::protobuf::util::JsonStringToMessage(
        {text.data(), text.size()}, &spec, google::protobuf::util::JsonParseOptions());
    if (!status.ok()) {
      const std::string why = status.message().ToString();
      return absl::InvalidArgumentError(
          absl::StrCat(file_name, ": ",
                       job::ExplainJsonError(absl::string_view(why).substr(0, why.find('\n')))));
    }
    return spec;
  }
  FirstError error(file_name);
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&error);
  parser.SetRecursionLimit(50);
  if (!parser.ParseFromString(std::string(text), &spec)) {
    return absl::InvalidArgumentError(
        error.text().empty() ? absl::StrCat(file_name, ": not a job file") : error.text());
  }
  return spec;
}

absl::Status LoadSplitFiles(v1::JobSpec& spec, const std::string& folder) {
  if (!UsesData(spec.tasks()) || !DataUseOf(spec.tasks()).split->has_files()) {
    return absl::OkStatus();
  }
  v1::ClassSplit& split = *MutableSplitOf(*spec.mutable_tasks());
  const v1::ClassSplit::Files files = split.files();
  v1::ClassSplit::Names& names = *split.mutable_names();
  INNERLOOP_RETURN_IF_ERROR(ReadClassNames(folder, files.train(), names.mutable_train()));
  INNERLOOP_RETURN_IF_ERROR(ReadClassNames(folder, files.validation(), names.mutable_validation()));
  return ReadClassNames(folder, files.test(), names.mutable_test());
}

std::optional<std::string> DataSetOf(const v1::JobSpec& spec) {
  if (UsesData(spec.tasks())) {
    return *DataUseOf(spec.tasks()).dataset;
  }
  return std::nullopt;
}

std::vector<std::string> SpecDifferences(const v1::JobSpec& a, const v1::JobSpec& b) {
  google::protobuf::util::MessageDifferencer differencer;
  for (const char* name : {"name", "iterations", "evaluation", "checkpoint", "limits", "weight",
                           "published", "labels", "note"}) {
    differencer.IgnoreField(v1::JobSpec::descriptor()->FindFieldByName(name));
  }
  // They follow from the data set and its split.
  for (const char* name : {"feature_means", "feature_scales"}) {
    differencer.IgnoreField(v1::GroupedTasks::descriptor()->FindFieldByName(name));
  }
  Differences differences;
  differencer.ReportDifferencesTo(&differences);
  differencer.Compare(a, b);
  return std::move(differences.lines);
}

uint64_t PartCount(uint64_t items, uint64_t most) { return (items + most - 1) / most; }

TaskRange Part(uint64_t items, uint64_t most, uint64_t index) {
  const uint64_t parts = PartCount(items, most);
  const uint64_t small = items / parts;
  const uint64_t larger = items % parts;  // so many parts have one more
  const uint64_t first = index * small + std::min(index, larger);
  return {first, first + small + (index < larger ? 1 : 0)};
}

uint64_t ShardCount(const v1::JobSpec& resolved) {
  return PartCount(resolved.meta_batch(), resolved.tasks_per_shard());
}

TaskRange ShardTasks(const v1::JobSpec& resolved, uint64_t index) {
  return Part(resolved.meta_batch(), resolved.tasks_per_shard(), index);
}

}  // namespace innerloop
