#include "client/api/security.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/rpc/listen_address.h"
#include "core/support/status_macros.h"

namespace innerloop::client {
namespace {

TlsFiles FilesOf(const std::string& folder) {
  TlsFiles files{.ca = absl::StrCat(folder, "/ca.pem")};
  std::error_code error;
  // One alone is an error, which names the other.
  if (std::filesystem::exists(absl::StrCat(folder, "/cert.pem"), error) ||
      std::filesystem::exists(absl::StrCat(folder, "/key.pem"), error)) {
    files.cert = absl::StrCat(folder, "/cert.pem");
    files.key = absl::StrCat(folder, "/key.pem");
  }
  return files;
}

TlsFiles ChooseFiles(const SecurityOptions& options, bool loopback) {
  if (!options.tls.empty()) {
    return options.tls;
  }
  if (!options.tls_dir.empty()) {
    return FilesOf(options.tls_dir);
  }
  std::error_code error;
  if (!loopback && !options.home_dir.empty() &&
      std::filesystem::exists(absl::StrCat(options.home_dir, "/ca.pem"), error)) {
    return FilesOf(options.home_dir);
  }
  return {};
}

}  // namespace

absl::StatusOr<Security> Resolve(const SecurityOptions& options, const std::string& coordinator) {
  INNERLOOP_ASSIGN_OR_RETURN(const HostPort address, ParseHostPort(coordinator));
  const bool loopback = IsLoopback(address.host);
  Security security{.tls = ChooseFiles(options, loopback), .token = options.token};
  if (!options.token_file.empty()) {
    INNERLOOP_ASSIGN_OR_RETURN(security.token, ReadSecretFile(options.token_file));
  }
  security.token = std::string(absl::StripAsciiWhitespace(security.token));
  if (!std::all_of(security.token.begin(), security.token.end(), absl::ascii_isgraph)) {
    return absl::InvalidArgumentError(
        absl::StrCat(options.token_file.empty() ? "INNERLOOP_TOKEN" : options.token_file,
                     " holds no token: a token is one word, as innerloop token create printed it"));
  }
  if (security.tls.empty() && !security.token.empty()) {
    if (!loopback) {
      return absl::InvalidArgumentError(
          absl::StrCat("the token would travel to ", coordinator,
                       " for everybody to read: give --tls-ca, or leave out the token"));
    }
    security.token.clear();
  }
  return security;
}

std::string HomeSecurityFolder() {
  const char* const home = std::getenv("HOME");
  return home != nullptr && *home == '/' ? absl::StrCat(home, "/.config/innerloop") : "";
}

}  // namespace innerloop::client
