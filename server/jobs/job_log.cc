#include "server/jobs/job_log.h"

#include <climits>
#include <utility>

#include <google/protobuf/util/time_util.h>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "spdlog/spdlog.h"

namespace innerloop::server {
namespace {

constexpr size_t kMostBytes = 1000;
constexpr int kMostInWindow = 100;
constexpr absl::Duration kWindow = absl::Seconds(10);
constexpr absl::Duration kRarely = absl::Minutes(1);
// Kinds of budgets are severities, and this.
constexpr int kRare = -1;

// A line; cut where a character of UTF-8 begins.
std::string OneLine(absl::string_view text) {
  std::string line =
      absl::StrReplaceAll(absl::StripAsciiWhitespace(text), {{"\n", " "}, {"\r", " "}});
  if (line.size() > kMostBytes) {
    size_t end = kMostBytes - 3;
    while (end > 0 && (static_cast<unsigned char>(line[end]) & 0xc0) == 0x80) {
      --end;
    }
    line = line.substr(0, end) + "...";
  }
  return line;
}

spdlog::level::level_enum LevelOf(v1::LogSeverity severity) {
  switch (severity) {
    case v1::LOG_SEVERITY_WARNING:
      return spdlog::level::warn;
    case v1::LOG_SEVERITY_ERROR:
      return spdlog::level::err;
    default:
      return spdlog::level::info;
  }
}

}  // namespace

void JobLog::Add(v1::LogEntry entry) {
  const int most = entry.severity() == v1::LOG_SEVERITY_ERROR ? INT_MAX : kMostInWindow;
  const int kind = entry.severity();
  AddWithin(std::move(entry), kind, most, kWindow);
}

void JobLog::Add(const std::string& job_id, v1::LogSeverity severity, absl::string_view message) {
  v1::LogEntry entry;
  entry.set_job_id(job_id);
  entry.set_severity(severity);
  entry.set_message(std::string(message));
  Add(std::move(entry));
}

void JobLog::AddRarely(v1::LogEntry entry) {
  AddWithin(std::move(entry), kRare, /*most=*/1, kRarely);
}

void JobLog::AddWithin(v1::LogEntry entry, int kind, int most, absl::Duration window) {
  int left_out = 0;
  {
    const absl::MutexLock lock(&mu_);
    const absl::Duration now = clock_.Monotonic();
    const auto [it, fresh] = budgets_.try_emplace({entry.job_id(), kind});
    Budget& budget = it->second;
    if (fresh || now - budget.since >= window) {
      left_out = budget.left_out;
      budget = {.since = now};
    }
    if (budget.said >= most) {
      ++budget.left_out;
      return;
    }
    ++budget.said;
  }
  std::string message = OneLine(entry.message());
  if (left_out > 0) {
    absl::StrAppend(&message, " (and ", left_out, " more like it before, not shown)");
  }
  entry.set_message(std::move(message));
  *entry.mutable_time() =
      google::protobuf::util::TimeUtil::NanosecondsToTimestamp(absl::ToUnixNanos(clock_.Now()));
  const bool own = entry.source().empty();
  if (own) {
    entry.set_source("coordinator");
  }
  spdlog::log(LevelOf(entry.severity()), "job {}: {}{}", entry.job_id(),
              own ? "" : absl::StrCat("worker '", entry.source(), "': "), entry.message());
  const std::string job_id = entry.job_id();
  recorder_.AddLog(std::move(entry));
  events_.Bump(job_id);
}

void JobLog::Forget(const std::string& job_id) {
  const absl::MutexLock lock(&mu_);
  budgets_.erase(budgets_.lower_bound({job_id, INT_MIN}), budgets_.upper_bound({job_id, INT_MAX}));
}

}  // namespace innerloop::server
