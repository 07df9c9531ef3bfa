// X.509 certificates as this project reads them: the role stands in the subject's organisational
// unit, the holder's name in its common name.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace innerloop {

// What roles are called in certificates.
inline constexpr char kRoleCoordinator[] = "coordinator";
inline constexpr char kRoleWorker[] = "worker";
inline constexpr char kRoleUser[] = "user";
inline constexpr char kRoleViewer[] = "viewer";

struct Certificate {
  std::string name;
  // Empty when the subject has no organisational unit, or several.
  std::string role;
  // Common name of who signed it.
  std::string issuer;
  // Host names and addresses that it is for.
  std::vector<std::string> hosts;
  absl::Time begins;
  absl::Time ends;
  // May sign others.
  bool authority = false;
  // Clients take it from who serves them.
  bool for_servers = false;
};

// The first certificate of a PEM text. INVALID_ARGUMENT when there is none.
absl::StatusOr<Certificate> ParseCertificate(absl::string_view pem);

}  // namespace innerloop
