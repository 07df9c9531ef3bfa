#include "core/rpc/credentials.h"

#include <cerrno>
#include <system_error>

#include <sys/stat.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/rpc/certificate.h"
#include "core/rpc/openssl.h"
#include "core/support/file_system.h"
#include "core/support/status_macros.h"

namespace innerloop {
namespace {

// Certificates with chains, and bundles of a system's authorities.
constexpr uint64_t kMostBytes = uint64_t{4} << 20;
constexpr uint64_t kMostSecretBytes = 64 << 10;

absl::Status BadFile(const std::string& path, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("'", path, "' ", why));
}

absl::StatusOr<std::string> ReadText(const std::string& path, uint64_t most) {
  absl::StatusOr<std::string> text = FileSystem::Real().Read(path, most);
  if (!text.ok()) {
    return absl::InvalidArgumentError(text.status().message());
  }
  return text;
}

absl::Status CheckCertificate(const std::string& path, absl::string_view pem) {
  const absl::StatusOr<Certificate> certificate = ParseCertificate(pem);
  if (!certificate.ok()) {
    return BadFile(path, absl::StrCat("holds ", certificate.status().message()));
  }
  const absl::Time now = absl::Now();
  if (certificate->ends < now || certificate->begins > now) {
    const bool over = certificate->ends < now;
    return BadFile(path,
                   absl::StrCat("is a certificate that ", over ? "expired" : "begins", " on ",
                                absl::FormatTime("%Y-%m-%d %H:%M UTC",
                                                 over ? certificate->ends : certificate->begins,
                                                 absl::UTCTimeZone()),
                                over ? "; issue a new one (innerloop certs issue)"
                                     : "; is this machine's clock right?"));
  }
  return absl::OkStatus();
}

absl::Status CheckKey(const TlsFiles& files, const TlsTexts& texts) {
  const BioPtr key_text = ReadFrom(texts.key);
  const KeyPtr key(PEM_read_bio_PrivateKey(key_text.get(), nullptr, NoPassphrase, nullptr));
  if (key == nullptr) {
    ERR_clear_error();
    return BadFile(files.key, "holds no private key in PEM form, or one with a passphrase");
  }
  const BioPtr cert_text = ReadFrom(texts.cert);
  const X509Ptr certificate(PEM_read_bio_X509(cert_text.get(), nullptr, NoPassphrase, nullptr));
  if (X509_check_private_key(certificate.get(), key.get()) != 1) {
    ERR_clear_error();
    return BadFile(files.key, absl::StrCat("is not the key of the certificate '", files.cert, "'"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckComplete(const TlsFiles& files) {
  if (files.empty()) {
    return absl::OkStatus();
  }
  for (const auto& [flag, path] :
       {std::pair("--tls-cert", files.cert), std::pair("--tls-key", files.key),
        std::pair("--tls-ca", files.ca)}) {
    if (path.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat(flag, " is missing: TLS wants --tls-cert, --tls-key and --tls-ca together"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadSecretFile(const std::string& path) {
  INNERLOOP_ASSIGN_OR_RETURN(std::string text, ReadText(path, kMostSecretBytes));
  struct stat status = {};
  if (stat(path.c_str(), &status) != 0) {
    return BadFile(path, std::generic_category().message(errno));
  }
  if ((status.st_mode & S_IRWXO) != 0) {
    return BadFile(path, absl::StrCat("is a secret that everybody may read: chmod 600 ", path));
  }
  return text;
}

absl::StatusOr<TlsTexts> ReadTlsFiles(const TlsFiles& files) {
  TlsTexts texts;
  if (files.cert.empty() != files.key.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(files.cert.empty() ? "--tls-cert" : "--tls-key",
                     " is missing: a certificate and its key go together"));
  }
  if (!files.ca.empty()) {
    INNERLOOP_ASSIGN_OR_RETURN(texts.ca, ReadText(files.ca, kMostBytes));
    INNERLOOP_RETURN_IF_ERROR(CheckCertificate(files.ca, texts.ca));
  }
  if (!files.cert.empty()) {
    INNERLOOP_ASSIGN_OR_RETURN(texts.cert, ReadText(files.cert, kMostBytes));
    INNERLOOP_RETURN_IF_ERROR(CheckCertificate(files.cert, texts.cert));
    INNERLOOP_ASSIGN_OR_RETURN(texts.key, ReadSecretFile(files.key));
    INNERLOOP_RETURN_IF_ERROR(CheckKey(files, texts));
  }
  return texts;
}

absl::StatusOr<absl::Time> CertificateEnd(const TlsFiles& files) {
  if (files.cert.empty()) {
    return absl::InfiniteFuture();
  }
  INNERLOOP_ASSIGN_OR_RETURN(const TlsTexts texts, ReadTlsFiles(files));
  INNERLOOP_ASSIGN_OR_RETURN(const Certificate certificate, ParseCertificate(texts.cert));
  return certificate.ends;
}

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> MakeChannelCredentials(
    const TlsFiles& files) {
  if (files.empty()) {
    return grpc::InsecureChannelCredentials();
  }
  if (files.ca.empty()) {
    return absl::InvalidArgumentError(
        "--tls-ca is missing: it names the authority that the coordinator's certificate comes "
        "from");
  }
  INNERLOOP_ASSIGN_OR_RETURN(const TlsTexts texts, ReadTlsFiles(files));
  return grpc::SslCredentials({texts.ca, texts.key, texts.cert});
}

}  // namespace innerloop
