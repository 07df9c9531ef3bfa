#include "client/commands/certs.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/render/table.h"
#include "core/rpc/certificate.h"
#include "core/support/file_system.h"
#include "core/support/status_macros.h"

namespace innerloop::client {
namespace {

constexpr uint64_t kMostBytes = uint64_t{4} << 20;

absl::StatusOr<Certificate> Read(const std::string& file) {
  const absl::StatusOr<std::string> pem = FileSystem::Real().Read(file, kMostBytes);
  if (!pem.ok()) {
    return absl::InvalidArgumentError(pem.status().message());
  }
  absl::StatusOr<Certificate> certificate = ParseCertificate(*pem);
  if (!certificate.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", file, "' holds ", certificate.status().message()));
  }
  return certificate;
}

std::string DateText(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone());
}

absl::Status Show(const std::string& file, Session& session) {
  INNERLOOP_ASSIGN_OR_RETURN(const Certificate certificate, Read(file));
  const absl::Time now = session.surroundings.clock->Now();
  const bool valid = certificate.begins <= now && now < certificate.ends;
  const std::string role = certificate.authority ? "authority" : certificate.role;
  Json json;
  json["file"] = file;
  json["name"] = certificate.name;
  json["role"] = role;
  json["hosts"] = certificate.hosts;
  json["issuer"] = certificate.issuer;
  json["begins"] = DateText(certificate.begins);
  json["ends"] = DateText(certificate.ends);
  json["valid_now"] = valid;
  Fields fields;
  fields.Add("file", file);
  fields.Add("name", certificate.name);
  fields.Add("role", role.empty() ? "none" : role);
  fields.Add("hosts", absl::StrJoin(certificate.hosts, ", "));
  fields.Add("issuer", certificate.issuer);
  fields.Add("begins", DateText(certificate.begins));
  fields.Add("ends", absl::StrCat(DateText(certificate.ends), valid ? "" : " (not valid now)"));
  session.Show(json, fields.Render());
  return absl::OkStatus();
}

}  // namespace

absl::Status InitCertificates(const std::string& folder, const std::string& name,
                              Session& session) {
  INNERLOOP_RETURN_IF_ERROR(MakeAuthority(folder, name, session.surroundings.clock->Now()));
  return Show(absl::StrCat(folder, "/ca.pem"), session);
}

absl::Status IssueCertificate(const std::string& folder, const CertificateRequest& request,
                              const std::string& out, Session& session) {
  INNERLOOP_RETURN_IF_ERROR(
      IssueCertificate(folder, request, out, session.surroundings.clock->Now()));
  return Show(absl::StrCat(out, "/cert.pem"), session);
}

absl::Status ShowCertificate(const std::string& file, Session& session) {
  return Show(file, session);
}

}  // namespace innerloop::client
