#include "client/render/upkeep.h"

#include <google/protobuf/util/time_util.h>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "client/render/numbers.h"
#include "client/render/table.h"

namespace innerloop::client {
namespace {

absl::Time TimeOf(const google::protobuf::Timestamp& time) {
  return absl::FromUnixNanos(google::protobuf::util::TimeUtil::TimestampToNanoseconds(time));
}

}  // namespace

std::string SeverityName(v1::LogSeverity severity) {
  return absl::AsciiStrToLower(absl::StripPrefix(v1::LogSeverity_Name(severity), "LOG_SEVERITY_"));
}

std::string LogLine(const v1::LogEntry& entry) {
  return absl::StrFormat(
      "%s  %-7s  %s: %s\n",
      absl::FormatTime("%Y-%m-%d %H:%M:%E3S", TimeOf(entry.time()), absl::LocalTimeZone()),
      SeverityName(entry.severity()), OneLine(entry.source()), OneLine(entry.message()));
}

Json LogJson(const v1::LogEntry& entry) {
  Json json;
  json["sequence"] = entry.sequence();
  json["time"] =
      absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", TimeOf(entry.time()), absl::UTCTimeZone());
  json["severity"] = SeverityName(entry.severity());
  json["job"] = entry.job_id();
  json["source"] = entry.source();
  if (entry.has_iteration()) {
    json["iteration"] = entry.iteration();
  }
  if (entry.has_first_task()) {
    json["first_task"] = entry.first_task();
    json["last_task"] = entry.last_task();
  }
  json["message"] = entry.message();
  return json;
}

std::string InfoText(const v1::ServerInfo& info, absl::Time now) {
  Fields fields;
  fields.Add("version", info.version());
  fields.Add("API version", absl::StrCat(info.api_version()));
  fields.Add("started", absl::StrCat(TimeText(info.started()), ", ",
                                     Span(now - TimeOf(info.started())), " ago"));
  fields.Add("connection", info.tls() ? "encrypted (TLS)" : "not encrypted");
  fields.Add("you are", info.role());
  if (info.disk_bytes() > 0) {
    fields.Add("disk",
               absl::StrCat(Bytes(info.disk_bytes_free()), " free of ", Bytes(info.disk_bytes())));
  }
  return fields.Render();
}

Json InfoJson(const v1::ServerInfo& info, absl::Time now) {
  Json json;
  json["version"] = info.version();
  json["api_version"] = info.api_version();
  json["started"] = TimeText(info.started());
  json["uptime_seconds"] = absl::ToDoubleSeconds(now - TimeOf(info.started()));
  json["tls"] = info.tls();
  json["role"] = info.role();
  json["disk_bytes_free"] = info.disk_bytes_free();
  json["disk_bytes"] = info.disk_bytes();
  return json;
}

std::string GarbageText(const v1::CollectGarbageResponse& garbage, bool dry_run) {
  if (garbage.items().empty()) {
    return "nothing to remove\n";
  }
  Table table({{"KIND"}, {"NAME"}, {"SIZE", Table::Align::kRight}, {"WHY"}});
  for (const v1::CollectGarbageResponse::Item& item : garbage.items()) {
    table.Add({item.kind(), item.name(), Bytes(item.bytes()), item.why()});
  }
  return absl::StrCat(table.Render(), dry_run ? "would remove " : "removed ",
                      Bytes(garbage.bytes()), "\n");
}

Json GarbageJson(const v1::CollectGarbageResponse& garbage, bool dry_run) {
  Json json;
  json["dry_run"] = dry_run;
  json["bytes"] = garbage.bytes();
  json["items"] = Json::array();
  for (const v1::CollectGarbageResponse::Item& item : garbage.items()) {
    json["items"].push_back({{"kind", item.kind()},
                             {"name", item.name()},
                             {"bytes", item.bytes()},
                             {"why", item.why()}});
  }
  return json;
}

}  // namespace innerloop::client
