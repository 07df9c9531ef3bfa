// Kinds of workers: whose results have the same bits.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "innerloop/v1/work.pb.h"

namespace innerloop::server {

// The canonical form of a fingerprint: its fields joined by "/".
std::string Canonical(const v1::NumericsFingerprint& fingerprint);

// What a worker has that is not as it is wanted, for people: "another build (numerics version
// '2' instead of '1'), another processor ('B' instead of 'A')". Both are canonical. Empty when they
// are the same.
std::string Difference(absl::string_view wanted, absl::string_view has);

}  // namespace innerloop::server
