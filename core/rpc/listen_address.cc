#include "core/rpc/listen_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace innerloop {

absl::StatusOr<HostPort> ParseHostPort(absl::string_view text) {
  const size_t colon = text.rfind(':');
  uint32_t port = 0;
  if (colon != absl::string_view::npos && colon > 0 &&
      absl::SimpleAtoi(text.substr(colon + 1), &port) && port <= UINT16_MAX) {
    absl::string_view host = text.substr(0, colon);
    const bool brackets = host.size() > 2 && host.front() == '[' && host.back() == ']';
    if (brackets) {
      host = host.substr(1, host.size() - 2);
    }
    if (brackets == absl::StrContains(host, ":")) {
      return HostPort{std::string(host), static_cast<uint16_t>(port)};
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat("'", text, "' is no address; HOST:PORT or [IPV6]:PORT is right"));
}

bool IsLoopback(absl::string_view host) {
  const std::string text(host);
  in_addr v4{};
  in6_addr v6{};
  if (inet_pton(AF_INET, text.c_str(), &v4) == 1) {
    return (ntohl(v4.s_addr) >> 24) == 127;
  }
  if (inet_pton(AF_INET6, text.c_str(), &v6) == 1) {
    return IN6_IS_ADDR_LOOPBACK(&v6);
  }
  return host == "localhost";
}

std::string ReachableAddress(absl::string_view address, absl::string_view host_name) {
  const auto parsed = ParseHostPort(address);
  if (parsed.ok() && (parsed->host == "0.0.0.0" || parsed->host == "::")) {
    return absl::StrCat(host_name, ":", parsed->port);
  }
  return std::string(address);
}

}  // namespace innerloop
