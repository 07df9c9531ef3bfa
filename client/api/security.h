// What a client trusts, and what it shows for itself.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "core/rpc/credentials.h"

namespace innerloop::client {

// As flags and environment have it; empty: not given.
struct SecurityOptions {
  TlsFiles tls;
  // Folder of ca.pem and, if there is a certificate, cert.pem and key.pem.
  std::string tls_dir;
  // The folder of a person's own; used for coordinators of other machines when it holds ca.pem.
  std::string home_dir;
  // A bearer token, or a file that holds one.
  std::string token;
  std::string token_file;
};

// What a connection needs of them.
struct Security {
  TlsFiles tls;
  std::string token;
};

// The files: those of `tls` if any is given, else those of `tls_dir`, else, for a coordinator that
// is not on loopback, those of `home_dir`, else none (plaintext). INVALID_ARGUMENT for files that
// cannot be read, and for a token that would travel over plaintext to another machine; over
// loopback without TLS, where nobody asks for it, it stays here.
absl::StatusOr<Security> Resolve(const SecurityOptions& options, const std::string& coordinator);

// ~/.config/innerloop; empty when there is no home.
std::string HomeSecurityFolder();

}  // namespace innerloop::client
