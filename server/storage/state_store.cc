#include "server/storage/state_store.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "core/support/file_system.h"
#include "core/support/status_macros.h"
#include "server/storage/folder_lock.h"
#include "server/storage/leftovers.h"
#include "server/storage/log_store.h"
#include "server/storage/sqlite.h"

namespace innerloop::server {
namespace {

// Each row of `history` holds the records first..last of one job as a JobEvents message; rows do
// not overlap. One row a second, not one an iteration, is what lets a thousand iterations a second
// be recorded in passing.
constexpr char kSchema[] = R"(
  CREATE TABLE jobs (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    request_id TEXT UNIQUE,
    job BLOB NOT NULL);
  CREATE TABLE history (
    job_id TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    records BLOB NOT NULL);
  CREATE UNIQUE INDEX history_first ON history (job_id, first);
  CREATE TABLE evaluations (
    job_id TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    iteration INTEGER NOT NULL,
    scheduled INTEGER NOT NULL,
    kind TEXT NOT NULL,
    evaluation BLOB NOT NULL);
  CREATE UNIQUE INDEX evaluations_kind ON evaluations (job_id, iteration, kind);
  CREATE TABLE data_sets (
    name TEXT PRIMARY KEY,
    description BLOB NOT NULL);
)";
// What each version of the schema adds to the one before; a database's `user_version` says how many
// of them it has.
constexpr const char* kSchemas[] = {kSchema, LogStore::kSchema};
constexpr int64_t kSchemaVersion = std::size(kSchemas);
constexpr int kMostRecordsInARow = 1024;

// Two evaluations of one version are the same one when this is the same.
std::string KindOf(const v1::Evaluation& evaluation) {
  if (evaluation.periodic() || evaluation.final()) {
    return !evaluation.final() ? "periodic" : !evaluation.periodic() ? "final" : "periodic, final";
  }
  return absl::StrCat("protocol ", evaluation.protocol().ShortDebugString());
}

class SqliteStateStore final : public StateStore {
 public:
  SqliteStateStore(FolderLock lock, std::unique_ptr<Database> database)
      : lock_(std::move(lock)), database_(std::move(database)) {}

  // Before the store is shared.
  absl::Status Prepare(const std::string& path) {
    const absl::MutexLock lock(&mutex_);
    int64_t version = 0;
    {
      Statement statement = database_->Prepare("PRAGMA user_version");
      INNERLOOP_ASSIGN_OR_RETURN(const bool row, statement.Step());
      version = row ? statement.Integer(0) : 0;
    }
    if (version > kSchemaVersion) {
      return absl::FailedPreconditionError(
          absl::StrCat("the database '", path, "' has version ", version,
                       "; this coordinator knows versions up to ", kSchemaVersion,
                       ": use the newer one that wrote it"));
    }
    for (; version < kSchemaVersion; ++version) {
      INNERLOOP_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*database_));
      INNERLOOP_RETURN_IF_ERROR(database_->Execute(kSchemas[version]));
      INNERLOOP_RETURN_IF_ERROR(
          database_->Execute(absl::StrCat("PRAGMA user_version = ", version + 1).c_str()));
      INNERLOOP_RETURN_IF_ERROR(transaction.Commit());
    }
    return absl::OkStatus();
  }

  absl::Status InsertJob(const v1::Job& job, const std::string& request_id) override {
    const absl::MutexLock lock(&mutex_);
    INNERLOOP_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*database_));
    if (!request_id.empty()) {
      INNERLOOP_ASSIGN_OR_RETURN(const std::optional<std::string> known, FindRequest(request_id));
      if (known.has_value()) {
        return absl::AlreadyExistsError(
            absl::StrCat("request '", request_id, "' made job ", *known, " already"));
      }
    }
    Statement statement =
        database_->Prepare("INSERT INTO jobs (id, request_id, job) VALUES (?1, ?2, ?3)");
    statement.Bind(1, absl::string_view(job.id())).Bind(3, job);
    if (request_id.empty()) {
      statement.BindNull(2);
    } else {
      statement.Bind(2, absl::string_view(request_id));
    }
    INNERLOOP_RETURN_IF_ERROR(statement.Run());
    return transaction.Commit();
  }

  absl::StatusOr<std::optional<std::string>> JobOfRequest(const std::string& request_id) override {
    const absl::MutexLock lock(&mutex_);
    return FindRequest(request_id);
  }

  absl::Status UpdateJob(const v1::Job& job) override {
    const absl::MutexLock lock(&mutex_);
    Statement statement = database_->Prepare("UPDATE jobs SET job = ?2 WHERE id = ?1");
    INNERLOOP_RETURN_IF_ERROR(statement.Bind(1, absl::string_view(job.id())).Bind(2, job).Run());
    if (database_->changes() == 0) {
      return absl::NotFoundError(absl::StrCat("no job '", job.id(), "' is stored"));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<v1::Job>> Jobs() override {
    const absl::MutexLock lock(&mutex_);
    Statement statement = database_->Prepare("SELECT job FROM jobs ORDER BY position");
    return ReadAll<v1::Job>(statement);
  }

  absl::Status DeleteJob(const std::string& id) override {
    const absl::MutexLock lock(&mutex_);
    // History, evaluations and log follow by their foreign keys.
    Statement statement = database_->Prepare("DELETE FROM jobs WHERE id = ?1");
    return statement.Bind(1, absl::string_view(id)).Run();
  }

  absl::Status AppendHistory(const std::string& job_id,
                             absl::Span<const v1::IterationRecord> iterations,
                             absl::Span<const v1::Evaluation> evaluations) override {
    const absl::MutexLock lock(&mutex_);
    INNERLOOP_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*database_));
    INNERLOOP_RETURN_IF_ERROR(PutRecords(job_id, iterations));
    for (const v1::Evaluation& evaluation : evaluations) {
      Statement statement = database_->Prepare(
          "INSERT OR REPLACE INTO evaluations (job_id, iteration, scheduled, kind, evaluation) "
          "VALUES (?1, ?2, ?3, ?4, ?5)");
      INNERLOOP_RETURN_IF_ERROR(
          statement.Bind(1, absl::string_view(job_id))
              .Bind(2, static_cast<int64_t>(evaluation.iteration()))
              .Bind(3, static_cast<int64_t>(evaluation.periodic() || evaluation.final()))
              .Bind(4, absl::string_view(KindOf(evaluation)))
              .Bind(5, evaluation)
              .Run());
    }
    return transaction.Commit();
  }

  absl::StatusOr<std::vector<v1::IterationRecord>> History(const std::string& job_id, uint64_t from,
                                                           size_t limit) override {
    const absl::MutexLock lock(&mutex_);
    std::vector<v1::IterationRecord> records;
    // Rows do not overlap, so that only the last one that begins before `from` can reach into it.
    Statement statement = database_->Prepare(
        "SELECT records FROM history WHERE job_id = ?1 AND first >= ifnull((SELECT max(first) FROM "
        "history WHERE job_id = ?1 AND first <= ?2), 0) ORDER BY first");
    statement.Bind(1, absl::string_view(job_id)).Bind(2, static_cast<int64_t>(from));
    while (records.size() < limit) {
      INNERLOOP_ASSIGN_OR_RETURN(const bool row, statement.Step());
      if (!row) {
        break;
      }
      v1::JobEvents events;
      INNERLOOP_RETURN_IF_ERROR(statement.Message(0, events));
      for (v1::IterationRecord& record : *events.mutable_iterations()) {
        if (record.iteration() >= from && records.size() < limit) {
          records.push_back(std::move(record));
        }
      }
    }
    return records;
  }

  absl::StatusOr<uint64_t> HistoryEnd(const std::string& job_id) override {
    const absl::MutexLock lock(&mutex_);
    Statement statement =
        database_->Prepare("SELECT ifnull(max(last) + 1, 0) FROM history WHERE job_id = ?1");
    statement.Bind(1, absl::string_view(job_id));
    INNERLOOP_RETURN_IF_ERROR(statement.Step().status());
    return static_cast<uint64_t>(statement.Integer(0));
  }

  absl::StatusOr<std::vector<v1::Evaluation>> Evaluations(const std::string& job_id,
                                                          uint64_t from) override {
    const absl::MutexLock lock(&mutex_);
    Statement statement = database_->Prepare(
        "SELECT evaluation FROM evaluations WHERE job_id = ?1 AND iteration >= ?2 ORDER BY "
        "iteration, rowid");
    statement.Bind(1, absl::string_view(job_id)).Bind(2, static_cast<int64_t>(from));
    return ReadAll<v1::Evaluation>(statement);
  }

  absl::Status TruncateHistory(const std::string& job_id, uint64_t from) override {
    const absl::MutexLock lock(&mutex_);
    INNERLOOP_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*database_));
    std::map<uint64_t, v1::IterationRecord> kept;
    INNERLOOP_RETURN_IF_ERROR(TakeRows(job_id, static_cast<int64_t>(from), INT64_MAX, kept));
    kept.erase(kept.lower_bound(from), kept.end());
    INNERLOOP_RETURN_IF_ERROR(InsertRows(job_id, kept));
    Statement statement = database_->Prepare(
        "DELETE FROM evaluations WHERE job_id = ?1 AND iteration > ?2 AND scheduled = 1");
    INNERLOOP_RETURN_IF_ERROR(
        statement.Bind(1, absl::string_view(job_id)).Bind(2, static_cast<int64_t>(from)).Run());
    return transaction.Commit();
  }

  absl::Status AppendLog(const std::string& job_id,
                         absl::Span<const v1::LogEntry> entries) override {
    const absl::MutexLock lock(&mutex_);
    INNERLOOP_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*database_));
    INNERLOOP_RETURN_IF_ERROR(LogStore(*database_).Append(job_id, entries));
    return transaction.Commit();
  }

  absl::StatusOr<std::vector<v1::LogEntry>> Log(const std::string& job_id, uint64_t after,
                                                size_t limit) override {
    const absl::MutexLock lock(&mutex_);
    return LogStore(*database_).Read(job_id, after, limit);
  }

  absl::StatusOr<uint64_t> LastLogSequence() override {
    const absl::MutexLock lock(&mutex_);
    return LogStore(*database_).LastSequence();
  }

  absl::Status PutDataSet(const v1::DataSetDescription& data_set) override {
    const absl::MutexLock lock(&mutex_);
    Statement statement =
        database_->Prepare("INSERT OR REPLACE INTO data_sets (name, description) VALUES (?1, ?2)");
    return statement.Bind(1, absl::string_view(data_set.name())).Bind(2, data_set).Run();
  }

  absl::StatusOr<std::vector<v1::DataSetDescription>> DataSets() override {
    const absl::MutexLock lock(&mutex_);
    Statement statement = database_->Prepare("SELECT description FROM data_sets ORDER BY name");
    return ReadAll<v1::DataSetDescription>(statement);
  }

  absl::Status DeleteDataSet(const std::string& name) override {
    const absl::MutexLock lock(&mutex_);
    Statement statement = database_->Prepare("DELETE FROM data_sets WHERE name = ?1");
    return statement.Bind(1, absl::string_view(name)).Run();
  }

 private:
  template <typename M>
  static absl::StatusOr<std::vector<M>> ReadAll(Statement& statement) {
    std::vector<M> messages;
    while (true) {
      INNERLOOP_ASSIGN_OR_RETURN(const bool row, statement.Step());
      if (!row) {
        return messages;
      }
      INNERLOOP_RETURN_IF_ERROR(statement.Message(0, messages.emplace_back()));
    }
  }

  absl::StatusOr<std::optional<std::string>> FindRequest(const std::string& request_id)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    Statement statement = database_->Prepare("SELECT id FROM jobs WHERE request_id = ?1");
    statement.Bind(1, absl::string_view(request_id));
    INNERLOOP_ASSIGN_OR_RETURN(const bool row, statement.Step());
    return row ? std::optional<std::string>(statement.Text(0)) : std::nullopt;
  }

  // Removes the rows that reach into first..last, and gives their records.
  absl::Status TakeRows(const std::string& job_id, int64_t first, int64_t last,
                        std::map<uint64_t, v1::IterationRecord>& records)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    constexpr char kRows[] =
        "history WHERE job_id = ?1 AND last >= ?2 AND first <= ?3 AND first >= ifnull((SELECT "
        "max(first) FROM history WHERE job_id = ?1 AND first <= ?2), 0)";
    {
      Statement statement = database_->Prepare(absl::StrCat("SELECT records FROM ", kRows).c_str());
      statement.Bind(1, absl::string_view(job_id)).Bind(2, first).Bind(3, last);
      INNERLOOP_ASSIGN_OR_RETURN(std::vector<v1::JobEvents> rows,
                                 ReadAll<v1::JobEvents>(statement));
      for (v1::JobEvents& row : rows) {
        for (v1::IterationRecord& record : *row.mutable_iterations()) {
          const uint64_t iteration = record.iteration();
          records.emplace(iteration, std::move(record));
        }
      }
    }
    Statement statement = database_->Prepare(absl::StrCat("DELETE FROM ", kRows).c_str());
    return statement.Bind(1, absl::string_view(job_id)).Bind(2, first).Bind(3, last).Run();
  }

  absl::Status InsertRows(const std::string& job_id,
                          const std::map<uint64_t, v1::IterationRecord>& records)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    for (auto record = records.begin(); record != records.end();) {
      v1::JobEvents events;
      const uint64_t first = record->first;
      for (; record != records.end() && events.iterations_size() < kMostRecordsInARow; ++record) {
        *events.add_iterations() = record->second;
      }
      Statement statement = database_->Prepare(
          "INSERT INTO history (job_id, first, last, records) VALUES (?1, ?2, ?3, ?4)");
      INNERLOOP_RETURN_IF_ERROR(
          statement.Bind(1, absl::string_view(job_id))
              .Bind(2, static_cast<int64_t>(first))
              .Bind(3, static_cast<int64_t>(events.iterations().rbegin()->iteration()))
              .Bind(4, events)
              .Run());
    }
    return absl::OkStatus();
  }

  absl::Status PutRecords(const std::string& job_id,
                          absl::Span<const v1::IterationRecord> iterations)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (iterations.empty()) {
      return absl::OkStatus();
    }
    std::map<uint64_t, v1::IterationRecord> records;
    for (const v1::IterationRecord& record : iterations) {
      records[record.iteration()] = record;
    }
    // The new ones are in the map already, so that older ones of the same number stay out.
    INNERLOOP_RETURN_IF_ERROR(TakeRows(job_id, static_cast<int64_t>(records.begin()->first),
                                       static_cast<int64_t>(records.rbegin()->first), records));
    return InsertRows(job_id, records);
  }

  const FolderLock lock_;
  absl::Mutex mutex_;
  const std::unique_ptr<Database> database_ ABSL_PT_GUARDED_BY(mutex_);
};

}  // namespace

absl::StatusOr<std::unique_ptr<StateStore>> StateStore::Open(const std::string& state_dir) {
  INNERLOOP_RETURN_IF_ERROR(FileSystem::Real().MakeFolder(state_dir));
  INNERLOOP_ASSIGN_OR_RETURN(FolderLock lock, FolderLock::Take(state_dir));
  RemoveLeftovers(state_dir);
  const std::string path = absl::StrCat(state_dir, "/innerloop.db");
  INNERLOOP_ASSIGN_OR_RETURN(std::unique_ptr<Database> database, Database::Open(path));
  auto store = std::make_unique<SqliteStateStore>(std::move(lock), std::move(database));
  INNERLOOP_RETURN_IF_ERROR(store->Prepare(path));
  return store;
}

}  // namespace innerloop::server
