#include "client/certificates/authority.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <openssl/rand.h>
#include <sys/stat.h>
#include <unistd.h>

#include "absl/cleanup/cleanup.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/certificates/host_name.h"
#include "core/rpc/certificate.h"
#include "core/rpc/credentials.h"
#include "core/rpc/openssl.h"
#include "core/support/file_system.h"
#include "core/support/status_macros.h"
#include "core/support/write_all.h"

namespace innerloop::client {
namespace {

constexpr size_t kMostNameBytes = 64;  // X.509's limit on common names
// Clocks differ: a certificate is good at once everywhere.
constexpr absl::Duration kBackdate = absl::Minutes(5);

absl::Status Failed(absl::string_view doing) {
  return absl::InternalError(absl::StrCat("OpenSSL cannot ", doing, ": ", TakeOpenSslError()));
}

absl::StatusOr<KeyPtr> NewKey() {
  KeyPtr key(EVP_EC_gen("P-256"));
  if (key == nullptr) {
    return Failed("make a key");
  }
  return key;
}

std::string TextOf(BIO* bio) {
  char* text = nullptr;
  const auto size = BIO_get_mem_data(bio, &text);
  return {text, static_cast<size_t>(size)};
}

absl::StatusOr<std::string> ToPem(EVP_PKEY* key) {
  const BioPtr out(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_PrivateKey(out.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return Failed("write a key");
  }
  return TextOf(out.get());
}

absl::StatusOr<std::string> ToPem(X509* certificate) {
  const BioPtr out(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_X509(out.get(), certificate) != 1) {
    return Failed("write a certificate");
  }
  return TextOf(out.get());
}

absl::Status CannotWrite(const std::string& path) {
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot write '", path, "'"));
}

// Writes a file that is not there yet.
absl::Status WriteNew(const std::string& path, absl::string_view text, mode_t mode) {
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (file < 0) {
    return errno == EEXIST ? absl::AlreadyExistsError(absl::StrCat(
                                 "'", path, "' is there already, and is not written over"))
                           : absl::InvalidArgumentError(CannotWrite(path).message());
  }
  absl::Cleanup remove = [&path] { unlink(path.c_str()); };
  const absl::Cleanup close_it = [file] { close(file); };
  // The mode holds whatever the umask is.
  if (fchmod(file, mode) != 0) {
    return CannotWrite(path);
  }
  INNERLOOP_RETURN_IF_ERROR(WriteAll(file, path, text));
  if (fsync(file) != 0) {
    return CannotWrite(path);
  }
  std::move(remove).Cancel();
  return absl::OkStatus();
}

// A key and its certificate, where neither is there yet: both, or none.
absl::Status WritePair(const std::string& key_path, absl::string_view key,
                       const std::string& certificate_path, absl::string_view certificate) {
  INNERLOOP_RETURN_IF_ERROR(WriteNew(key_path, key, 0600));
  absl::Status written = WriteNew(certificate_path, certificate, 0644);
  if (!written.ok()) {
    unlink(key_path.c_str());
  }
  return written;
}

// A certificate that is being made. One thread only.
class Draft {
 public:
  Draft(absl::Time begins, absl::Time ends) : x509_(X509_new()) {
    X509_set_version(x509_.get(), X509_VERSION_3);
    std::array<unsigned char, 16> serial = {};
    RAND_bytes(serial.data(), serial.size());
    serial[0] &= 0x7f;  // positive
    BIGNUM* const number = BN_bin2bn(serial.data(), serial.size(), nullptr);
    BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x509_.get()));
    BN_free(number);
    ASN1_TIME_set(X509_getm_notBefore(x509_.get()), absl::ToTimeT(begins));
    ASN1_TIME_set(X509_getm_notAfter(x509_.get()), absl::ToTimeT(ends));
  }

  absl::Status SetSubject(const std::string& name, const std::string& role) {
    X509_NAME* const subject = X509_get_subject_name(x509_.get());
    for (const auto& [field, value] :
         {std::pair("O", std::string("Innerloop")), std::pair("OU", role), std::pair("CN", name)}) {
      if (!value.empty() &&
          X509_NAME_add_entry_by_txt(subject, field, MBSTRING_UTF8,
                                     reinterpret_cast<const unsigned char*>(value.data()),
                                     static_cast<int>(value.size()), -1, 0) != 1) {
        return Failed(absl::StrCat("write a subject's ", field));
      }
    }
    return absl::OkStatus();
  }

  // Of the extensions' values none comes from the user as it stands.
  absl::Status AddExtension(X509* issuer, int nid, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer == nullptr ? x509_.get() : issuer, x509_.get(), nullptr,
                   nullptr, 0);
    X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
    if (extension == nullptr) {
      return Failed(absl::StrCat("add '", value, "'"));
    }
    X509_add_ext(x509_.get(), extension, -1);
    X509_EXTENSION_free(extension);
    return absl::OkStatus();
  }

  absl::StatusOr<std::string> Sign(X509_NAME* issuer, EVP_PKEY* issuer_key) {
    if (X509_set_issuer_name(x509_.get(), issuer) != 1 ||
        X509_sign(x509_.get(), issuer_key, EVP_sha256()) == 0) {
      return Failed("sign a certificate");
    }
    return ToPem(x509_.get());
  }

  X509* get() { return x509_.get(); }

 private:
  X509Ptr x509_;
};

bool IsUtf8(absl::string_view text) {
  while (!text.empty()) {
    unsigned long character = 0;  // as OpenSSL has it
    const int size = UTF8_getc(reinterpret_cast<const unsigned char*>(text.data()),
                               static_cast<int>(text.size()), &character);
    if (size <= 0) {
      return false;
    }
    text.remove_prefix(static_cast<size_t>(size));
  }
  return true;
}

absl::Status CheckName(absl::string_view flag, absl::string_view name) {
  if (!IsUtf8(name)) {
    return absl::InvalidArgumentError(
        absl::StrCat(flag, " is not UTF-8, which certificates' names are in"));
  }
  if (name.empty() || name.size() > kMostNameBytes ||
      !std::all_of(name.begin(), name.end(),
                   [](char c) { return !absl::ascii_iscntrl(static_cast<unsigned char>(c)); })) {
    return absl::InvalidArgumentError(
        absl::StrCat(flag, " wants 1 to ", kMostNameBytes, " printable characters"));
  }
  return absl::OkStatus();
}

// "DNS:localhost,IP:127.0.0.1": what a coordinator is reached by.
absl::StatusOr<std::string> AlternativeNames(const std::vector<std::string>& hosts) {
  std::vector<std::string> names = {"localhost", "127.0.0.1", "::1"};
  for (const std::string& host : hosts) {
    if (std::find(names.begin(), names.end(), host) == names.end()) {
      names.push_back(host);
    }
  }
  for (std::string& name : names) {
    INNERLOOP_ASSIGN_OR_RETURN(const HostKind kind, KindOf(name));
    name = absl::StrCat(kind == HostKind::kAddress ? "IP:" : "DNS:", name);
  }
  return absl::StrJoin(names, ",");
}

absl::Status CheckRequest(const CertificateRequest& request) {
  const std::string& role = request.role;
  if (role != kRoleCoordinator && role != kRoleWorker && role != kRoleUser && role != kRoleViewer) {
    return absl::InvalidArgumentError(
        absl::StrCat("--role is '", role, "'; coordinator, worker, user or viewer are right"));
  }
  INNERLOOP_RETURN_IF_ERROR(CheckName("--name", request.name));
  if (role != kRoleCoordinator && !request.hosts.empty()) {
    return absl::InvalidArgumentError("--host is for --role coordinator: others are not called");
  }
  if (request.days < 1 || request.days > kAuthorityDays) {
    return absl::InvalidArgumentError(
        absl::StrCat("--days is ", request.days, "; 1 to ", kAuthorityDays, " are right"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status MakeAuthority(const std::string& folder, const std::string& name, absl::Time now) {
  INNERLOOP_RETURN_IF_ERROR(CheckName("--name", name));
  INNERLOOP_RETURN_IF_ERROR(FileSystem::Real().MakeFolder(folder));
  INNERLOOP_ASSIGN_OR_RETURN(const KeyPtr key, NewKey());
  Draft draft(now - kBackdate, now + absl::Hours(24) * kAuthorityDays);
  INNERLOOP_RETURN_IF_ERROR(draft.SetSubject(name, /*role=*/""));
  X509_set_pubkey(draft.get(), key.get());
  for (const auto& [nid, value] : {std::pair(NID_basic_constraints, "critical,CA:TRUE,pathlen:0"),
                                   std::pair(NID_key_usage, "critical,keyCertSign,cRLSign"),
                                   std::pair(NID_subject_key_identifier, "hash")}) {
    INNERLOOP_RETURN_IF_ERROR(draft.AddExtension(nullptr, nid, value));
  }
  INNERLOOP_ASSIGN_OR_RETURN(const std::string pem,
                             draft.Sign(X509_get_subject_name(draft.get()), key.get()));
  INNERLOOP_ASSIGN_OR_RETURN(const std::string key_pem, ToPem(key.get()));
  return WritePair(absl::StrCat(folder, "/ca-key.pem"), key_pem, absl::StrCat(folder, "/ca.pem"),
                   pem);
}

absl::Status IssueCertificate(const std::string& folder, const CertificateRequest& request,
                              const std::string& out, absl::Time now) {
  INNERLOOP_RETURN_IF_ERROR(CheckRequest(request));
  const TlsFiles authority_files = {.cert = absl::StrCat(folder, "/ca.pem"),
                                    .key = absl::StrCat(folder, "/ca-key.pem")};
  INNERLOOP_ASSIGN_OR_RETURN(const TlsTexts authority, ReadTlsFiles(authority_files));
  const BioPtr issuer_text = ReadFrom(authority.cert);
  const X509Ptr issuer(PEM_read_bio_X509(issuer_text.get(), nullptr, NoPassphrase, nullptr));
  const BioPtr issuer_key_text = ReadFrom(authority.key);
  const KeyPtr issuer_key(
      PEM_read_bio_PrivateKey(issuer_key_text.get(), nullptr, NoPassphrase, nullptr));
  INNERLOOP_ASSIGN_OR_RETURN(const Certificate issuer_facts, ParseCertificate(authority.cert));
  if (!issuer_facts.authority) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", authority_files.cert, "' is no authority's certificate"));
  }

  INNERLOOP_ASSIGN_OR_RETURN(const KeyPtr key, NewKey());
  Draft draft(now - kBackdate, std::min(now + absl::Hours(24) * request.days, issuer_facts.ends));
  INNERLOOP_RETURN_IF_ERROR(draft.SetSubject(request.name, request.role));
  X509_set_pubkey(draft.get(), key.get());
  const bool server = request.role == kRoleCoordinator;
  std::vector<std::pair<int, std::string>> extensions = {
      {NID_basic_constraints, "critical,CA:FALSE"},
      {NID_key_usage, "critical,digitalSignature"},
      {NID_ext_key_usage, server ? "serverAuth" : "clientAuth"},
      {NID_subject_key_identifier, "hash"},
      {NID_authority_key_identifier, "keyid"}};
  if (server) {
    INNERLOOP_ASSIGN_OR_RETURN(std::string names, AlternativeNames(request.hosts));
    extensions.emplace_back(NID_subject_alt_name, std::move(names));
  }
  for (const auto& [nid, value] : extensions) {
    INNERLOOP_RETURN_IF_ERROR(draft.AddExtension(issuer.get(), nid, value));
  }
  INNERLOOP_ASSIGN_OR_RETURN(const std::string pem,
                             draft.Sign(X509_get_subject_name(issuer.get()), issuer_key.get()));
  INNERLOOP_ASSIGN_OR_RETURN(const std::string key_pem, ToPem(key.get()));

  INNERLOOP_RETURN_IF_ERROR(FileSystem::Real().MakeFolder(out));
  INNERLOOP_RETURN_IF_ERROR(
      WritePair(absl::StrCat(out, "/key.pem"), key_pem, absl::StrCat(out, "/cert.pem"), pem));
  return FileSystem::Real().Replace(absl::StrCat(out, "/ca.pem"), {authority.cert});
}

}  // namespace innerloop::client
