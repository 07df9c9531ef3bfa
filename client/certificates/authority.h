// A private authority: a key and a certificate in a folder, and the certificates that it signs.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace innerloop::client {

// How long an authority is good, and so the longest of any certificate.
inline constexpr int kAuthorityDays = 3652;

// Makes `folder`/ca.pem and `folder`/ca-key.pem: EC P-256, for ten years, allowed to sign end
// certificates alone. ALREADY_EXISTS when there is one; INVALID_ARGUMENT for a name that no
// certificate can have. Whoever has ca-key.pem can make certificates of every role; nothing but
// IssueCertificate needs it.
absl::Status MakeAuthority(const std::string& folder, const std::string& name, absl::Time now);

struct CertificateRequest {
  // kRoleCoordinator, kRoleWorker, kRoleUser or kRoleViewer. A coordinator's is for servers, the
  // others' for clients.
  std::string role;
  // Whom it is for, 1..64 bytes of UTF-8: a person, a machine.
  std::string name;
  // Names and addresses that clients reach a coordinator by, beside localhost, 127.0.0.1 and ::1.
  std::vector<std::string> hosts;
  // 1..kAuthorityDays; not beyond the authority's own.
  int days = 365;
};

// Makes `out`/cert.pem, `out`/key.pem (of a key of its own) and a copy of the authority's ca.pem:
// what --tls-dir wants. ALREADY_EXISTS when there is a certificate or key; INVALID_ARGUMENT says
// what is wrong with request or authority.
absl::Status IssueCertificate(const std::string& folder, const CertificateRequest& request,
                              const std::string& out, absl::Time now);

}  // namespace innerloop::client
