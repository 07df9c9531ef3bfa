#include "core/rpc/certificate.h"

#include <arpa/inet.h>

#include <ctime>

#include "core/rpc/openssl.h"

namespace innerloop {
namespace {

using NamesPtr = std::unique_ptr<GENERAL_NAMES, OpenSslFree<GENERAL_NAMES_free>>;

// The one entry of this kind; empty when there is none, or more than one.
std::string OnlyEntry(const X509_NAME* name, int nid) {
  const int first = X509_NAME_get_index_by_NID(name, nid, -1);
  if (first < 0 || X509_NAME_get_index_by_NID(name, nid, first) >= 0) {
    return "";
  }
  unsigned char* text = nullptr;
  const int size =
      ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, first)));
  if (size < 0) {
    return "";
  }
  std::string result(reinterpret_cast<const char*>(text), static_cast<size_t>(size));
  OPENSSL_free(text);
  return result;
}

absl::Time ToTime(const ASN1_TIME* time) {
  std::tm parts = {};
  return ASN1_TIME_to_tm(time, &parts) == 1 ? absl::FromTM(parts, absl::UTCTimeZone())
                                            : absl::InfinitePast();
}

std::vector<std::string> HostsOf(const X509* certificate) {
  const NamesPtr names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  std::vector<std::string> hosts;
  for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* const name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_DNS && name->type != GEN_IPADD) {
      continue;
    }
    const ASN1_STRING* const value = name->type == GEN_DNS ? name->d.dNSName : name->d.iPAddress;
    const unsigned char* const data = ASN1_STRING_get0_data(value);
    const int size = ASN1_STRING_length(value);
    if (name->type == GEN_DNS) {
      hosts.emplace_back(reinterpret_cast<const char*>(data), static_cast<size_t>(size));
      continue;
    }
    char text[INET6_ADDRSTRLEN] = "";
    if (size == 4 || size == 16) {
      inet_ntop(size == 4 ? AF_INET : AF_INET6, data, text, sizeof(text));
      hosts.emplace_back(text);
    }
  }
  return hosts;
}

}  // namespace

absl::StatusOr<Certificate> ParseCertificate(absl::string_view pem) {
  const BioPtr text = ReadFrom(pem);
  const X509Ptr x509(PEM_read_bio_X509(text.get(), nullptr, NoPassphrase, nullptr));
  if (x509 == nullptr) {
    ERR_clear_error();
    return absl::InvalidArgumentError("no certificate in PEM form");
  }
  const X509_NAME* const subject = X509_get_subject_name(x509.get());
  return Certificate{
      .name = OnlyEntry(subject, NID_commonName),
      .role = OnlyEntry(subject, NID_organizationalUnitName),
      .issuer = OnlyEntry(X509_get_issuer_name(x509.get()), NID_commonName),
      .hosts = HostsOf(x509.get()),
      .begins = ToTime(X509_get0_notBefore(x509.get())),
      .ends = ToTime(X509_get0_notAfter(x509.get())),
      .authority = X509_check_ca(x509.get()) == 1,
      .for_servers = X509_check_purpose(x509.get(), X509_PURPOSE_SSL_SERVER, /*ca=*/0) == 1,
  };
}

}  // namespace innerloop
