// TLS as operators and users give it: three files in PEM form. This is the one place that makes
// gRPC's credentials of them.
#pragma once

#include <memory>
#include <string>

#include <grpcpp/security/credentials.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace innerloop {

// Paths; an empty path: not given. All empty: no TLS.
struct TlsFiles {
  // Certificate (with the chain up to the authority, if there is more) and its private key.
  std::string cert;
  std::string key;
  // Certificates of the authorities that the other side's certificate may come from.
  std::string ca;

  bool empty() const { return cert.empty() && key.empty() && ca.empty(); }
};

// The files' content.
struct TlsTexts {
  std::string cert;
  std::string key;
  std::string ca;
};

// OK when either all three are given or none: what coordinators and workers need. INVALID_ARGUMENT
// names the flag that is missing.
absl::Status CheckComplete(const TlsFiles& files);

// Reads what is given and checks it: PEM form, a certificate that is valid now, the key that
// belongs to it, a key file that strangers cannot read. INVALID_ARGUMENT names the file, and what
// to do.
absl::StatusOr<TlsTexts> ReadTlsFiles(const TlsFiles& files);

// When the certificate of this program ends; in the infinite future without one. INVALID_ARGUMENT
// as ReadTlsFiles has it.
absl::StatusOr<absl::Time> CertificateEnd(const TlsFiles& files);

// A secret's file: at most 64 KiB; INVALID_ARGUMENT when everybody may read it.
absl::StatusOr<std::string> ReadSecretFile(const std::string& path);

// For a client of a coordinator: without files plaintext; with `ca` TLS, and with `cert` and `key`
// under its own name. INVALID_ARGUMENT as ReadTlsFiles has it.
absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> MakeChannelCredentials(
    const TlsFiles& files);

}  // namespace innerloop
