// Commands about a private authority and its certificates; no coordinator is asked.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "client/certificates/authority.h"
#include "client/session.h"

namespace innerloop::client {

absl::Status InitCertificates(const std::string& folder, const std::string& name, Session& session);
absl::Status IssueCertificate(const std::string& folder, const CertificateRequest& request,
                              const std::string& out, Session& session);
// Any certificate in PEM form.
absl::Status ShowCertificate(const std::string& file, Session& session);

}  // namespace innerloop::client
