#include "client/render/compare.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include <google/protobuf/text_format.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/render/numbers.h"
#include "client/render/table.h"

namespace innerloop::client {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// Longer values are cut in tables.
constexpr size_t kMostValue = 60;

std::string ValueText(const Message& message, const FieldDescriptor* field, int index) {
  google::protobuf::TextFormat::Printer printer;
  printer.SetSingleLineMode(true);
  std::string text;
  printer.PrintFieldValueToString(message, field, index, &text);
  return text;
}

void AddFields(const Message& message, const std::string& prefix,
               std::map<std::string, std::string>& fields) {
  std::vector<const FieldDescriptor*> set;
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  reflection.ListFields(message, &set);
  for (const FieldDescriptor* field : set) {
    const std::string path = absl::StrCat(prefix, field->name());
    if (!field->is_repeated()) {
      if (field->message_type() != nullptr) {
        const Message& inner = reflection.GetMessage(message, field);
        const size_t before = fields.size();
        AddFields(inner, path + ".", fields);
        if (fields.size() == before) {
          fields[path] = "{}";  // chosen, with nothing set in it
        }
      } else {
        fields[path] = ValueText(message, field, -1);
      }
      continue;
    }
    const int size = reflection.FieldSize(message, field);
    if (field->is_map()) {
      for (int i = 0; i < size; ++i) {
        const Message& entry = reflection.GetRepeatedMessage(message, field, i);
        const google::protobuf::Descriptor& pair = *entry.GetDescriptor();
        fields[absl::StrCat(path, ".", entry.GetReflection()->GetString(entry, pair.map_key()))] =
            ValueText(entry, pair.map_value(), -1);
      }
      continue;
    }
    std::vector<std::string> values;
    values.reserve(size);
    for (int i = 0; i < size; ++i) {
      values.push_back(ValueText(message, field, i));
    }
    fields[path] = absl::StrCat("[", absl::StrJoin(values, ", "), "]");
  }
}

const v1::Evaluation* EvaluationOf(const v1::Job& job) {
  return job.has_final() ? &job.final() : job.has_last_periodic() ? &job.last_periodic() : nullptr;
}

// "98.40 ± 0.31 % after 3 steps (final)".
std::string EvaluationCell(const v1::Job& job) {
  const v1::Evaluation* evaluation = EvaluationOf(job);
  if (evaluation == nullptr || evaluation->steps().empty()) {
    return "";
  }
  const v1::StepMeasure& last = evaluation->steps(evaluation->steps_size() - 1);
  return absl::StrCat(last.has_accuracy()
                          ? PercentInterval(last.accuracy(), last.accuracy_ci95()) + " %"
                          : LossInterval(last.loss(), last.loss_ci95()),
                      " after ", last.step(), job.has_final() ? " (final)" : " (last)");
}

// Jobs beyond their last checkpoint.
std::vector<std::string> WithoutParameters(const std::vector<v1::Job>& jobs) {
  std::vector<std::string> ids;
  for (const v1::Job& job : jobs) {
    if (ParametersOf(job).empty()) {
      ids.push_back(job.id());
    }
  }
  return ids;
}

// Nothing where some are not known, and the others do not tell.
std::optional<bool> ParametersEqual(const std::vector<v1::Job>& jobs) {
  std::set<std::string> hashes;
  for (const v1::Job& job : jobs) {
    hashes.insert(ParametersOf(job));
  }
  const bool unknown = hashes.erase("") > 0;
  if (hashes.size() > 1) {
    return false;
  }
  return unknown ? std::nullopt : std::optional<bool>(true);
}

std::string ParametersText(const std::vector<v1::Job>& jobs) {
  const std::optional<bool> equal = ParametersEqual(jobs);
  if (equal.has_value()) {
    return *equal ? "parameters equal" : "parameters not equal";
  }
  return absl::StrCat("equality of parameters not known: no checkpoint has the last iteration of ",
                      absl::StrJoin(WithoutParameters(jobs), ", "));
}

std::string Cut(const std::string& value) {
  return value.size() > kMostValue ? value.substr(0, kMostValue - 3) + "..." : value;
}

Table TableOf(const std::vector<v1::Job>& jobs) {
  std::vector<Table::Column> columns = {{""}};
  for (const v1::Job& job : jobs) {
    columns.push_back({job.id()});
  }
  return Table(std::move(columns));
}

void AddRow(Table& table, const std::string& title, const std::vector<v1::Job>& jobs,
            const auto& cell) {
  std::vector<std::string> cells = {title};
  for (const v1::Job& job : jobs) {
    cells.push_back(cell(job));
  }
  table.Add(std::move(cells));
}

}  // namespace

std::map<std::string, std::string> FieldsOf(const v1::JobSpec& spec) {
  std::map<std::string, std::string> fields;
  AddFields(spec, "", fields);
  return fields;
}

std::map<std::string, std::vector<std::string>> DifferingFields(const std::vector<v1::Job>& jobs) {
  std::map<std::string, std::vector<std::string>> values;
  for (size_t i = 0; i < jobs.size(); ++i) {
    for (auto& [path, value] : FieldsOf(jobs[i].spec())) {
      values.try_emplace(path, jobs.size()).first->second[i] = value;
    }
  }
  for (auto it = values.begin(); it != values.end();) {
    const std::vector<std::string>& row = it->second;
    const bool same = std::all_of(row.begin(), row.end(),
                                  [&row](const std::string& value) { return value == row[0]; });
    it = same ? values.erase(it) : std::next(it);
  }
  return values;
}

std::string ParametersOf(const v1::Job& job) {
  return job.last_checkpoint().iteration() == job.iteration()
             ? job.last_checkpoint().parameters_sha256()
             : "";
}

std::string ComparisonText(const std::vector<v1::Job>& jobs) {
  Table results = TableOf(jobs);
  AddRow(results, "name", jobs, [](const v1::Job& job) { return job.spec().name(); });
  AddRow(results, "state", jobs, [](const v1::Job& job) { return StateName(job.state()); });
  AddRow(results, "iteration", jobs, [](const v1::Job& job) {
    return absl::StrCat(Count(job.iteration()), " of ", Count(job.spec().iterations()));
  });
  AddRow(results, "training time", jobs,
         [](const v1::Job& job) { return Span(absl::Seconds(job.training_seconds())); });
  AddRow(results, "meta-loss, last iteration", jobs,
         [](const v1::Job& job) { return job.has_meta_loss() ? Loss(job.meta_loss()) : ""; });
  AddRow(results, "evaluation", jobs, EvaluationCell);
  AddRow(results, "parameters sha256", jobs,
         [](const v1::Job& job) { return ParametersOf(job).substr(0, 16); });
  std::string text = absl::StrCat(results.Render(), ParametersText(jobs), "\n\n");
  const auto differing = DifferingFields(jobs);
  if (differing.empty()) {
    return absl::StrCat(text, "no differences in their specifications\n");
  }
  Table table = TableOf(jobs);
  for (const auto& [path, values] : differing) {
    std::vector<std::string> cells = {path};
    std::transform(values.begin(), values.end(), std::back_inserter(cells), Cut);
    table.Add(std::move(cells));
  }
  return absl::StrCat(text, table.Render());
}

Json ComparisonJson(const std::vector<v1::Job>& jobs) {
  Json json;
  json["jobs"] = Json::array();
  for (const v1::Job& job : jobs) {
    Json entry;
    entry["job"] = job.id();
    entry["name"] = job.spec().name();
    entry["state"] = StateName(job.state());
    entry["iteration"] = job.iteration();
    entry["iterations"] = job.spec().iterations();
    entry["seconds"] = job.training_seconds();
    if (job.has_meta_loss()) {
      entry["meta_loss"] = job.meta_loss();
    }
    if (const v1::Evaluation* evaluation = EvaluationOf(job); evaluation != nullptr) {
      entry["evaluation"] = EvaluationJson(*evaluation, job.spec());
    }
    entry["parameters_sha256"] = ParametersOf(job);
    json["jobs"].push_back(std::move(entry));
  }
  const std::optional<bool> equal = ParametersEqual(jobs);
  json["parameters_equal"] = equal.has_value() ? Json(*equal) : Json();
  json["differences"] = Json::object();
  for (const auto& [path, values] : DifferingFields(jobs)) {
    json["differences"][path] = values;
  }
  return json;
}

}  // namespace innerloop::client
