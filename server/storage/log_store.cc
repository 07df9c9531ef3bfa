#include "server/storage/log_store.h"

#include "core/support/status_macros.h"

namespace innerloop::server {

const char LogStore::kSchema[] = R"(
  CREATE TABLE log (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    severity INTEGER NOT NULL,
    entry BLOB NOT NULL);
  CREATE INDEX log_of_job ON log (job_id, severity, sequence);
)";

absl::Status LogStore::Append(const std::string& job_id, absl::Span<const v1::LogEntry> entries) {
  for (const v1::LogEntry& entry : entries) {
    Statement statement = database_.Prepare(
        "INSERT OR REPLACE INTO log (sequence, job_id, severity, entry) VALUES (?1, ?2, ?3, ?4)");
    INNERLOOP_RETURN_IF_ERROR(statement.Bind(1, static_cast<int64_t>(entry.sequence()))
                                  .Bind(2, absl::string_view(job_id))
                                  .Bind(3, static_cast<int64_t>(entry.severity()))
                                  .Bind(4, entry)
                                  .Run());
  }
  Statement statement = database_.Prepare(
      "DELETE FROM log WHERE sequence IN (SELECT sequence FROM log WHERE job_id = ?1 ORDER BY "
      "severity, sequence LIMIT max(0, (SELECT count(*) FROM log WHERE job_id = ?1) - ?2))");
  return statement.Bind(1, absl::string_view(job_id)).Bind(2, kMostLogEntries).Run();
}

absl::StatusOr<std::vector<v1::LogEntry>> LogStore::Read(const std::string& job_id, uint64_t after,
                                                         size_t limit) {
  Statement statement = database_.Prepare(
      "SELECT entry FROM log WHERE job_id = ?1 AND sequence > ?2 ORDER BY sequence LIMIT ?3");
  statement.Bind(1, absl::string_view(job_id))
      .Bind(2, static_cast<int64_t>(after))
      .Bind(3, static_cast<int64_t>(limit));
  std::vector<v1::LogEntry> entries;
  while (true) {
    INNERLOOP_ASSIGN_OR_RETURN(const bool row, statement.Step());
    if (!row) {
      return entries;
    }
    INNERLOOP_RETURN_IF_ERROR(statement.Message(0, entries.emplace_back()));
  }
}

absl::StatusOr<uint64_t> LogStore::LastSequence() {
  Statement statement = database_.Prepare("SELECT seq FROM sqlite_sequence WHERE name = 'log'");
  INNERLOOP_ASSIGN_OR_RETURN(const bool row, statement.Step());
  return row ? static_cast<uint64_t>(statement.Integer(0)) : 0;
}

}  // namespace innerloop::server
