#include "server/storage/token_store.h"

#include <algorithm>
#include <array>
#include <tuple>
#include <utility>

#include <google/protobuf/util/time_util.h>
#include <openssl/rand.h>
#include <spdlog/spdlog.h>

#include "absl/memory/memory.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/support/checksum.h"
#include "core/support/status_macros.h"

namespace innerloop::server {
namespace {

using google::protobuf::util::TimeUtil;

constexpr char kSchema[] = R"(
  CREATE TABLE IF NOT EXISTS tokens (
    id TEXT PRIMARY KEY,
    sha256 TEXT NOT NULL UNIQUE,
    token BLOB NOT NULL);
)";
constexpr size_t kSecretBytes = 32;
constexpr size_t kIdBytes = 5;
constexpr int64_t kNoteEverySeconds = 60;
// For threads of gRPC's: a commit waits for no other one, and writes to the system's cache alone.
constexpr char kWithoutWaiting[] =
    "PRAGMA busy_timeout=0; PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=0";

absl::StatusOr<std::string> RandomBytes(size_t count) {
  std::string bytes(count, '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(count)) != 1) {
    return absl::InternalError("the system gives no random numbers");
  }
  return bytes;
}

google::protobuf::Timestamp ToTimestamp(absl::Time time) {
  return TimeUtil::SecondsToTimestamp(absl::ToUnixSeconds(time));
}

}  // namespace

absl::StatusOr<std::unique_ptr<TokenStore>> TokenStore::Open(const std::string& state_dir,
                                                             const Clock& clock) {
  const std::string path = absl::StrCat(state_dir, "/innerloop.db");
  INNERLOOP_ASSIGN_OR_RETURN(std::unique_ptr<Database> database, Database::Open(path));
  INNERLOOP_ASSIGN_OR_RETURN(std::unique_ptr<Database> notes, Database::Open(path));
  INNERLOOP_RETURN_IF_ERROR(notes->Execute(kWithoutWaiting));
  auto store = absl::WrapUnique(new TokenStore(std::move(database), std::move(notes), clock));
  INNERLOOP_RETURN_IF_ERROR(store->Load());
  return store;
}

absl::Status TokenStore::Load() {
  const absl::MutexLock writing(&writing_);
  const absl::MutexLock lock(&mu_);
  INNERLOOP_RETURN_IF_ERROR(database_->Execute(kSchema));
  Statement statement = database_->Prepare("SELECT sha256, token FROM tokens");
  while (true) {
    INNERLOOP_ASSIGN_OR_RETURN(const bool row, statement.Step());
    if (!row) {
      return absl::OkStatus();
    }
    INNERLOOP_RETURN_IF_ERROR(statement.Message(1, by_hash_[statement.Text(0)]));
  }
}

absl::StatusOr<TokenStore::Created> TokenStore::Create(const std::string& name, v1::Role role,
                                                       absl::Duration lifetime) {
  INNERLOOP_ASSIGN_OR_RETURN(const std::string random, RandomBytes(kSecretBytes));
  INNERLOOP_ASSIGN_OR_RETURN(const std::string id, RandomBytes(kIdBytes));
  const absl::Time now = clock_.Now();
  Created created;
  created.secret = absl::StrCat(kTokenPrefix, absl::WebSafeBase64Escape(random));
  created.token.set_id(absl::BytesToHexString(id));
  created.token.set_name(name);
  created.token.set_role(role);
  *created.token.mutable_created() = TimeUtil::NanosecondsToTimestamp(absl::ToUnixNanos(now));
  if (lifetime > absl::ZeroDuration()) {
    *created.token.mutable_expires() = ToTimestamp(now + lifetime);
  }
  const std::string hash = Sha256::Hex(created.secret);
  const absl::MutexLock writing(&writing_);
  Statement statement =
      database_->Prepare("INSERT INTO tokens (id, sha256, token) VALUES (?1, ?2, ?3)");
  INNERLOOP_RETURN_IF_ERROR(statement.Bind(1, absl::string_view(created.token.id()))
                                .Bind(2, absl::string_view(hash))
                                .Bind(3, created.token)
                                .Run());
  const absl::MutexLock lock(&mu_);
  by_hash_[hash] = created.token;
  return created;
}

absl::Status TokenStore::Revoke(const std::string& id) {
  const absl::MutexLock writing(&writing_);
  Statement statement = database_->Prepare("DELETE FROM tokens WHERE id = ?1");
  INNERLOOP_RETURN_IF_ERROR(statement.Bind(1, absl::string_view(id)).Run());
  if (database_->changes() == 0) {
    return absl::NotFoundError(
        absl::StrCat("there is no token '", id, "'; innerloop token list shows those there are"));
  }
  const absl::MutexLock lock(&mu_);
  absl::erase_if(by_hash_, [&](const auto& entry) { return entry.second.id() == id; });
  return absl::OkStatus();
}

std::vector<v1::Token> TokenStore::List() {
  std::vector<v1::Token> tokens;
  {
    const absl::MutexLock lock(&mu_);
    for (const auto& [hash, token] : by_hash_) {
      tokens.push_back(token);
    }
  }
  const auto order = [](const v1::Token& token) {
    return std::make_tuple(token.created().seconds(), token.created().nanos(), token.id());
  };
  std::sort(tokens.begin(), tokens.end(),
            [&](const v1::Token& a, const v1::Token& b) { return order(a) < order(b); });
  return tokens;
}

absl::StatusOr<v1::Token> TokenStore::Use(absl::string_view secret) {
  bool due = false;
  INNERLOOP_ASSIGN_OR_RETURN(v1::Token token, Check(Sha256::Hex(secret), &due));
  if (due) {
    NoteUse(token);
  }
  return token;
}

absl::StatusOr<v1::Token> TokenStore::Check(const std::string& hash, bool* due) {
  const absl::Time now = clock_.Now();
  const absl::MutexLock lock(&mu_);
  const auto it = by_hash_.find(hash);
  if (it == by_hash_.end()) {
    return absl::UnauthenticatedError("the token is not known here: it is wrong or was revoked");
  }
  v1::Token& token = it->second;
  if (token.has_expires() && now >= absl::FromUnixSeconds(token.expires().seconds())) {
    return absl::UnauthenticatedError(absl::StrCat(
        "the token '", token.name(), "' expired on ",
        absl::FormatTime("%Y-%m-%d %H:%M UTC", absl::FromUnixSeconds(token.expires().seconds()),
                         absl::UTCTimeZone()),
        "; innerloop token create makes a new one"));
  }
  *due = !token.has_last_used() ||
         absl::ToUnixSeconds(now) - token.last_used().seconds() >= kNoteEverySeconds;
  if (*due) {
    *token.mutable_last_used() = ToTimestamp(now);
  }
  return token;
}

void TokenStore::NoteUse(const v1::Token& token) {
  const absl::MutexLock lock(&noting_);
  Statement statement = notes_->Prepare("UPDATE tokens SET token = ?2 WHERE id = ?1");
  const absl::Status noted = statement.Bind(1, absl::string_view(token.id())).Bind(2, token).Run();
  // UNAVAILABLE: another one writes.
  if (!noted.ok() && !absl::IsUnavailable(noted)) {
    spdlog::warn("cannot note when the token '{}' was used: {}", token.name(),
                 std::string(noted.message()));
  }
}

}  // namespace innerloop::server
