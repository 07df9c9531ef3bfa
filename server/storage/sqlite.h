// A thin layer over SQLite: statuses instead of codes, and messages that notice when they were
// damaged.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include <google/protobuf/message_lite.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

struct sqlite3;
struct sqlite3_stmt;

namespace innerloop::server {

// A prepared statement: bind, then Step until no row is left. The first error sticks and comes out
// of Step. Thread-compatible; lives shorter than its database.
class Statement {
 public:
  Statement(sqlite3* database, absl::string_view path, const char* sql);
  ~Statement();
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  // Parameters and columns count from 1 and 0, as SQLite has it.
  Statement& Bind(int parameter, int64_t value);
  Statement& Bind(int parameter, absl::string_view text);
  Statement& BindNull(int parameter);
  // The serialised message and its CRC32C, as a blob.
  Statement& Bind(int parameter, const google::protobuf::MessageLite& message);

  // Whether there is a row.
  absl::StatusOr<bool> Step();
  // Runs a statement that gives no rows.
  absl::Status Run();

  int64_t Integer(int column) const;
  std::string Text(int column) const;
  // DATA_LOSS when the blob is not what was stored.
  absl::Status Message(int column, google::protobuf::MessageLite& message) const;

 private:
  void Keep(int code);

  sqlite3* database_;
  absl::string_view path_;
  sqlite3_stmt* statement_ = nullptr;
  absl::Status error_;
};

// An open database file. Thread-compatible.
class Database {
 public:
  // WAL, synchronous=FULL: what is committed survives a power cut. A write waits up to ten seconds
  // for that of another connection of this process.
  static absl::StatusOr<std::unique_ptr<Database>> Open(const std::string& path);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // Several statements without parameters.
  absl::Status Execute(const char* sql);
  // Statements borrow the database.
  Statement Prepare(const char* sql) { return {database_, path_, sql}; }
  // Rows that the last statement changed.
  int64_t changes() const;

 private:
  explicit Database(std::string path) : path_(std::move(path)) {}

  std::string path_;
  sqlite3* database_ = nullptr;
};

// Rolls back at its end unless committed. Thread-compatible.
class Transaction {
 public:
  // Begins at once. Without one, statements would be committed each by itself.
  static absl::StatusOr<Transaction> Begin(Database& database);
  ~Transaction();
  Transaction(Transaction&& other) noexcept : open_(std::exchange(other.open_, nullptr)) {}
  Transaction& operator=(Transaction&&) = delete;
  absl::Status Commit();

 private:
  explicit Transaction(Database& database) : open_(&database) {}

  // Null when it was committed, or moved from.
  Database* open_;
};

}  // namespace innerloop::server
