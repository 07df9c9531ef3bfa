#include "client/report/report_data.h"

#include <cmath>
#include <cstdlib>
#include <utility>

#include <google/protobuf/util/time_util.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "absl/types/span.h"
#include "core/support/file_system.h"
#include "core/support/json_depth.h"
#include "core/support/status_macros.h"

namespace innerloop::client {
namespace {

constexpr char kFormat[] = "innerloop-report-1";
constexpr uint64_t kMostBytes = uint64_t{1} << 30;
// A job's specification, the deepest part, has about a dozen.
constexpr int kMostLevels = 100;

// Curves are for looking at: six digits make them a third as long.
Json Rounded(double value) {
  return std::isfinite(value) ? Json(std::strtod(absl::StrFormat("%.6g", value).c_str(), nullptr))
                              : Json();
}

Json CurveJson(const MeasureCurve& measure) {
  Json points = Json::array();
  for (const CurveBucket& bucket : measure.curve.buckets()) {
    Json point = {bucket.first_iteration, bucket.last_iteration, nullptr, nullptr, nullptr};
    if (bucket.count > 0) {
      point[2] = Rounded(bucket.mean());
      point[3] = Rounded(bucket.min);
      point[4] = Rounded(bucket.max);
    }
    points.push_back(std::move(point));
  }
  return {{"key", measure.key},
          {"fraction", measure.fraction},
          {"width", measure.curve.width()},
          {"points", std::move(points)}};
}

Json LogJson(const v1::LogEntry& entry) {
  Json json;
  json["time"] = absl::FormatTime(
      "%Y-%m-%dT%H:%M:%E3SZ",
      absl::FromUnixNanos(google::protobuf::util::TimeUtil::TimestampToNanoseconds(entry.time())),
      absl::UTCTimeZone());
  json["severity"] =
      std::string(absl::StripPrefix(v1::LogSeverity_Name(entry.severity()), "LOG_SEVERITY_"));
  json["source"] = entry.source();
  if (entry.has_iteration()) {
    json["iteration"] = entry.iteration();
  }
  json["message"] = entry.message();
  return json;
}

// A field that groups or the page rely on.
struct Field {
  const char* name;
  bool (Json::*holds)() const noexcept;
  const char* kind;
};
constexpr Field kJobFields[] = {
    {"job", &Json::is_string, "a string"},        {"name", &Json::is_string, "a string"},
    {"state", &Json::is_string, "a string"},      {"method", &Json::is_string, "a string"},
    {"spec", &Json::is_object, "an object"},      {"spec_text", &Json::is_string, "a string"},
    {"iteration", &Json::is_number, "a number"},  {"iterations", &Json::is_number, "a number"},
    {"seconds", &Json::is_number, "a number"},    {"parameters", &Json::is_number, "a number"},
    {"warnings", &Json::is_array, "an array"},    {"published", &Json::is_array, "an array"},
    {"evaluations", &Json::is_array, "an array"}, {"curves", &Json::is_array, "an array"},
    {"log", &Json::is_array, "an array"}};
constexpr Field kCurveFields[] = {{"key", &Json::is_string, "a string"},
                                  {"fraction", &Json::is_boolean, "true or false"},
                                  {"width", &Json::is_number, "a number"},
                                  {"points", &Json::is_array, "an array"}};
constexpr Field kEvaluationFields[] = {{"protocol", &Json::is_string, "a string"},
                                       {"iteration", &Json::is_number, "a number"},
                                       {"periodic", &Json::is_boolean, "true or false"},
                                       {"final", &Json::is_boolean, "true or false"},
                                       {"steps", &Json::is_array, "an array"}};
constexpr Field kPublishedFields[] = {{"source", &Json::is_string, "a string"},
                                      {"step", &Json::is_number, "a number"}};
constexpr Field kLogFields[] = {{"time", &Json::is_string, "a string"},
                                {"severity", &Json::is_string, "a string"},
                                {"source", &Json::is_string, "a string"},
                                {"message", &Json::is_string, "a string"}};

// `where` is the object's place in messages.
absl::Status CheckFields(const Json& object, const std::string& where,
                         absl::Span<const Field> fields) {
  if (!object.is_object()) {
    return absl::InvalidArgumentError(absl::StrCat(where, " must be an object"));
  }
  for (const Field& field : fields) {
    const auto found = object.find(field.name);
    if (found == object.end() || !((*found).*field.holds)()) {
      return absl::InvalidArgumentError(
          absl::StrCat(where, ".", field.name, " must be ", field.kind));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckElements(const Json& object, const char* array, const std::string& where,
                           absl::Span<const Field> fields) {
  const Json& elements = object[array];
  for (size_t i = 0; i < elements.size(); ++i) {
    INNERLOOP_RETURN_IF_ERROR(
        CheckFields(elements[i], absl::StrCat(where, ".", array, "[", i, "]"), fields));
  }
  return absl::OkStatus();
}

absl::Status CheckJob(const Json& job, const std::string& where) {
  INNERLOOP_RETURN_IF_ERROR(CheckFields(job, where, kJobFields));
  INNERLOOP_RETURN_IF_ERROR(CheckElements(job, "curves", where, kCurveFields));
  INNERLOOP_RETURN_IF_ERROR(CheckElements(job, "evaluations", where, kEvaluationFields));
  INNERLOOP_RETURN_IF_ERROR(CheckElements(job, "published", where, kPublishedFields));
  return CheckElements(job, "log", where, kLogFields);
}

// What jobs of one group have alike.
std::string GroupKey(const Json& job) {
  Json spec = job.value("spec", Json::object());
  for (const char* key : {"seed", "name", "labels", "note"}) {
    spec.erase(key);
  }
  return spec.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// "sinusoid" for "sinusoid-seed-3".
std::string NameWithoutSeed(const Json& job) {
  const std::string name = job.value("name", "");
  const size_t at = name.rfind("-seed-");
  return at == std::string::npos ? name : name.substr(0, at);
}

}  // namespace

Json ReportOfJob(const JobHistory& history) {
  const v1::Job& job = history.job();
  Json json = JobJson(job);
  json["method"] = MethodName(job.spec());
  json["spec_text"] = SpecText(job.spec());
  json["published"] = Json::array();
  for (const v1::PublishedResult& result : job.spec().published()) {
    json["published"].push_back(PublishedJson(result));
  }
  json["evaluations"] = Json::array();
  for (const v1::Evaluation& evaluation : history.evaluations()) {
    Json measured = EvaluationJson(evaluation, job.spec());
    measured["periodic"] = evaluation.periodic();
    measured["final"] = evaluation.final();
    json["evaluations"].push_back(std::move(measured));
  }
  json["curves"] = Json::array();
  for (const MeasureCurve& measure : history.Curves()) {
    json["curves"].push_back(CurveJson(measure));
  }
  json["log"] = Json::array();
  for (const v1::LogEntry& entry : history.log()) {
    json["log"].push_back(LogJson(entry));
  }
  return json;
}

Json ReportOf(const std::vector<Json>& jobs, absl::Time made) {
  Json groups = Json::array();
  std::vector<std::string> keys;
  for (size_t i = 0; i < jobs.size(); ++i) {
    const std::string key = GroupKey(jobs[i]);
    size_t group = 0;
    while (group < keys.size() && keys[group] != key) {
      ++group;
    }
    if (group == keys.size()) {
      keys.push_back(key);
      groups.push_back({{"name", NameWithoutSeed(jobs[i])}, {"jobs", Json::array()}});
    }
    groups[group]["jobs"].push_back(i);
  }
  Json json;
  json["format"] = kFormat;
  json["made"] = absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", made, absl::UTCTimeZone());
  json["groups"] = std::move(groups);
  json["jobs"] = jobs;
  return json;
}

absl::StatusOr<std::vector<Json>> ReadReport(const std::string& path) {
  INNERLOOP_ASSIGN_OR_RETURN(const std::string text, FileSystem::Real().Read(path, kMostBytes));
  const Json json = NestsWithin(text, kMostLevels)
                        ? Json::parse(text, nullptr, /*allow_exceptions=*/false)
                        : Json();
  if (!json.is_object() || !json.contains("format") || json["format"] != kFormat ||
      !json.contains("jobs") || !json["jobs"].is_array() || json["jobs"].empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, " is no data of a report; `innerloop report --format=json` writes some"));
  }
  const Json& jobs = json["jobs"];
  for (size_t i = 0; i < jobs.size(); ++i) {
    INNERLOOP_RETURN_IF_ERROR(CheckJob(jobs[i], absl::StrCat(path, ": jobs[", i, "]")));
  }
  return std::vector<Json>(jobs.begin(), jobs.end());
}

}  // namespace innerloop::client
