// Bearer tokens, as the table `tokens` of the state folder's database.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/support/clock.h"
#include "innerloop/v1/access.pb.h"
#include "server/storage/sqlite.h"

namespace innerloop::server {

// What tokens begin with, so that people and programs that look for leaked secrets know them.
inline constexpr char kTokenPrefix[] = "ilt_";

// A token's secret is 32 random bytes and leaves this once, when it is made: kept is its SHA-256,
// by which it is found again (a guess at a secret tells nothing by how long its hash takes to be
// not found). All tokens are held in memory, so that a check needs no disk. Thread-safe.
class TokenStore {
 public:
  // After the state store, which locks the folder. `clock` outlives it.
  static absl::StatusOr<std::unique_ptr<TokenStore>> Open(const std::string& state_dir,
                                                          const Clock& clock);

  // Durable when they return.
  struct Created {
    v1::Token token;
    std::string secret;
  };
  // A lifetime of zero is for ever.
  absl::StatusOr<Created> Create(const std::string& name, v1::Role role, absl::Duration lifetime);
  // NOT_FOUND. Refused from the next call on.
  absl::Status Revoke(const std::string& id);

  // Oldest first, expired ones too.
  std::vector<v1::Token> List();

  // The token of this secret, noting (once a minute) that it was used. Waits neither for the disk
  // nor for other writers: a note that would have to is left to the next minute. UNAUTHENTICATED
  // when there is none, or no more.
  absl::StatusOr<v1::Token> Use(absl::string_view secret);

 private:
  TokenStore(std::unique_ptr<Database> database, std::unique_ptr<Database> notes,
             const Clock& clock)
      : clock_(clock), database_(std::move(database)), notes_(std::move(notes)) {}
  absl::Status Load() ABSL_LOCKS_EXCLUDED(writing_, mu_);
  // The token of this hash; `*due`: it is to be noted that it was used.
  absl::StatusOr<v1::Token> Check(const std::string& hash, bool* due) ABSL_LOCKS_EXCLUDED(mu_);
  void NoteUse(const v1::Token& token) ABSL_LOCKS_EXCLUDED(noting_);

  const Clock& clock_;
  // Held while tokens are made and revoked, which waits for other writers and the disk. Before mu_.
  absl::Mutex writing_;
  const std::unique_ptr<Database> database_ ABSL_PT_GUARDED_BY(writing_);
  // A connection that waits for nothing.
  absl::Mutex noting_;
  const std::unique_ptr<Database> notes_ ABSL_PT_GUARDED_BY(noting_);
  absl::Mutex mu_;
  absl::flat_hash_map<std::string, v1::Token> by_hash_ ABSL_GUARDED_BY(mu_);
};

}  // namespace innerloop::server
