// Addresses as operators write them: HOST:PORT, [IPV6]:PORT.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace innerloop {

struct HostPort {
  std::string host;  // without brackets
  uint16_t port = 0;
};

// INVALID_ARGUMENT shows the text and what would be right.
absl::StatusOr<HostPort> ParseHostPort(absl::string_view text);

// Whether only this machine can reach it: 127.0.0.0/8, ::1, localhost.
bool IsLoopback(absl::string_view host);

// `address` with `host_name` in place of a host that stands for all of the machine's addresses.
std::string ReachableAddress(absl::string_view address, absl::string_view host_name);

}  // namespace innerloop
