// Hosts as certificates name them. Header-only.
#pragma once

#include <algorithm>
#include <string>

#include <arpa/inet.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace innerloop::client {

enum class HostKind { kName, kAddress };

// INVALID_ARGUMENT when it is neither a name (one that begins with "*." stands for one label) nor
// an address.
inline absl::StatusOr<HostKind> KindOf(const std::string& host) {
  in6_addr address{};
  if (inet_pton(AF_INET, host.c_str(), &address) == 1 ||
      inet_pton(AF_INET6, host.c_str(), &address) == 1) {
    return HostKind::kAddress;
  }
  const size_t begin = absl::StartsWith(host, "*.") ? 2 : 0;
  const bool name = host.size() > begin && host.size() <= 253 && host[begin] != '.' &&
                    std::all_of(host.begin() + static_cast<std::ptrdiff_t>(begin), host.end(),
                                [](unsigned char c) {
                                  return absl::ascii_isalnum(c) || c == '-' || c == '.' || c == '_';
                                });
  if (!name) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--host is '", host, "'; a host name or an address (without a port) is right"));
  }
  return HostKind::kName;
}

}  // namespace innerloop::client
