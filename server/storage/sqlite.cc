#include "server/storage/sqlite.h"

#include <sqlite3.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/support/checksum.h"
#include "core/support/status_macros.h"

namespace innerloop::server {
namespace {

absl::Status ToStatus(int code, sqlite3* database, absl::string_view path) {
  const char* const what =
      database != nullptr ? sqlite3_errmsg(database) : sqlite3_errstr(code & 0xff);
  const std::string message = absl::StrCat("'", path, "': ", what);
  if (code == SQLITE_CONSTRAINT_FOREIGNKEY) {
    return absl::NotFoundError(absl::StrCat("no such job is stored in ", message));
  }
  switch (code & 0xff) {
    case SQLITE_CONSTRAINT:
      return absl::AlreadyExistsError(absl::StrCat("database ", message));
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::DataLossError(
          absl::StrCat("the database ", message,
                       "; restore the file from a copy, or move it away to begin anew"));
    case SQLITE_FULL:
      return absl::ResourceExhaustedError(absl::StrCat("cannot write ", message));
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return absl::UnavailableError(absl::StrCat("another program uses ", message));
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_READONLY:
      return absl::PermissionDeniedError(absl::StrCat("cannot open ", message));
    default:
      return absl::UnknownError(absl::StrCat("database ", message));
  }
}

std::string LittleEndian(uint32_t value) {
  std::string bytes(4, '\0');
  for (int i = 0; i < 4; ++i) {
    bytes[i] = static_cast<char>(value >> (8 * i));
  }
  return bytes;
}

}  // namespace

Statement::Statement(sqlite3* database, absl::string_view path, const char* sql)
    : database_(database), path_(path) {
  Keep(sqlite3_prepare_v2(database, sql, -1, &statement_, nullptr));
}

Statement::~Statement() { sqlite3_finalize(statement_); }

void Statement::Keep(int code) {
  if (code != SQLITE_OK && error_.ok()) {
    error_ = ToStatus(code, database_, path_);
  }
}

Statement& Statement::Bind(int parameter, int64_t value) {
  Keep(sqlite3_bind_int64(statement_, parameter, value));
  return *this;
}

Statement& Statement::Bind(int parameter, absl::string_view text) {
  Keep(sqlite3_bind_text64(statement_, parameter, text.data(), text.size(), SQLITE_TRANSIENT,
                           SQLITE_UTF8));
  return *this;
}

Statement& Statement::BindNull(int parameter) {
  Keep(sqlite3_bind_null(statement_, parameter));
  return *this;
}

Statement& Statement::Bind(int parameter, const google::protobuf::MessageLite& message) {
  std::string bytes = message.SerializeAsString();
  bytes += LittleEndian(Crc32c(bytes));
  Keep(sqlite3_bind_blob64(statement_, parameter, bytes.data(), bytes.size(), SQLITE_TRANSIENT));
  return *this;
}

absl::StatusOr<bool> Statement::Step() {
  if (!error_.ok()) {
    return error_;
  }
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW || code == SQLITE_DONE) {
    return code == SQLITE_ROW;
  }
  Keep(code);
  return error_;
}

absl::Status Statement::Run() { return Step().status(); }

int64_t Statement::Integer(int column) const { return sqlite3_column_int64(statement_, column); }

std::string Statement::Text(int column) const {
  const auto* const text = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  return text == nullptr ? std::string()
                         : std::string(text, sqlite3_column_bytes(statement_, column));
}

absl::Status Statement::Message(int column, google::protobuf::MessageLite& message) const {
  const auto* const data = static_cast<const char*>(sqlite3_column_blob(statement_, column));
  const int size = sqlite3_column_bytes(statement_, column);
  if (data != nullptr && size >= 4) {
    const absl::string_view body(data, size - 4);
    if (absl::string_view(data + size - 4, 4) == LittleEndian(Crc32c(body)) &&
        message.ParseFromArray(body.data(), static_cast<int>(body.size()))) {
      return absl::OkStatus();
    }
  }
  return absl::DataLossError(
      absl::StrCat("the database '", path_, "' holds a damaged ", message.GetTypeName(),
                   " (its CRC32C is wrong); restore the file from a copy, or move it away to begin "
                   "anew"));
}

absl::StatusOr<std::unique_ptr<Database>> Database::Open(const std::string& path) {
  std::unique_ptr<Database> database(new Database(path));
  const int code =
      sqlite3_open_v2(path.c_str(), &database->database_,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  if (code != SQLITE_OK) {
    return ToStatus(code, database->database_, path);
  }
  sqlite3_extended_result_codes(database->database_, 1);
  INNERLOOP_RETURN_IF_ERROR(
      database->Execute("PRAGMA busy_timeout=10000; PRAGMA journal_mode=WAL; "
                        "PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON"));
  return database;
}

Database::~Database() { sqlite3_close(database_); }

absl::Status Database::Execute(const char* sql) {
  const int code = sqlite3_exec(database_, sql, nullptr, nullptr, nullptr);
  return code == SQLITE_OK ? absl::OkStatus() : ToStatus(code, database_, path_);
}

int64_t Database::changes() const { return sqlite3_changes(database_); }

absl::StatusOr<Transaction> Transaction::Begin(Database& database) {
  INNERLOOP_RETURN_IF_ERROR(database.Execute("BEGIN IMMEDIATE"));
  return Transaction(database);
}

Transaction::~Transaction() {
  if (open_ != nullptr) {
    // What went wrong was told by the statement that failed; there is nothing to add.
    open_->Execute("ROLLBACK").IgnoreError();
  }
}

absl::Status Transaction::Commit() {
  INNERLOOP_RETURN_IF_ERROR(open_->Execute("COMMIT"));
  open_ = nullptr;
  return absl::OkStatus();
}

}  // namespace innerloop::server
