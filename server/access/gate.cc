#include "server/access/gate.h"

#include <grpcpp/security/auth_context.h>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/rpc/call_headers.h"
#include "core/rpc/certificate.h"
#include "core/support/status_macros.h"
#include "core/support/version.h"

namespace innerloop::server {
namespace {

absl::Status CheckVersion(absl::string_view version) {
  uint32_t number = 0;
  if (version.empty() || (absl::SimpleAtoi(version, &number) && number == kApiVersion)) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      absl::StrCat("this program speaks version ", version.substr(0, 20),
                   " of Innerloop's API, the coordinator (", kVersion, ") version ", kApiVersion,
                   ": install the same release of both"));
}

v1::Role ToRole(absl::string_view unit) {
  return unit == kRoleWorker   ? v1::ROLE_WORKER
         : unit == kRoleUser   ? v1::ROLE_USER
         : unit == kRoleViewer ? v1::ROLE_VIEWER
                               : v1::ROLE_UNSPECIFIED;
}

absl::string_view RoleName(v1::Role role) {
  return role == v1::ROLE_WORKER   ? kRoleWorker
         : role == v1::ROLE_USER   ? kRoleUser
         : role == v1::ROLE_VIEWER ? kRoleViewer
                                   : "none";
}

bool Suffices(v1::Role role, Need need, bool certificate) {
  switch (need) {
    case Need::kNothing:
      return true;
    case Need::kViewer:
      return role == v1::ROLE_VIEWER || role == v1::ROLE_USER;
    case Need::kUser:
      return role == v1::ROLE_USER;
    case Need::kUserCertificate:
      return role == v1::ROLE_USER && certificate;
    case Need::kWorker:
      return role == v1::ROLE_WORKER && certificate;
  }
  return false;
}

absl::string_view NeedText(Need need) {
  switch (need) {
    case Need::kNothing:
      return "nothing";
    case Need::kViewer:
      return "the role viewer or user";
    case Need::kUser:
      return "the role user";
    case Need::kUserCertificate:
      return "a certificate of the role user";
    case Need::kWorker:
      return "a certificate of the role worker";
  }
  return "";
}

// Who calls, as its service's function is told; views of the context.
IncomingCall CallOf(const grpc::ServerContextBase& context) {
  const auto& headers = context.client_metadata();
  const auto header = headers.find(kAuthorizationHeader);
  const auto pem = context.auth_context()->FindPropertyValues(GRPC_X509_PEM_CERT_PROPERTY_NAME);
  IncomingCall call;
  if (header != headers.end()) {
    call.authorization = {header->second.data(), header->second.size()};
  }
  if (!pem.empty()) {
    call.certificate = {pem[0].data(), pem[0].size()};
  }
  return call;
}

}  // namespace

absl::Status Gate::Check(const IncomingCall& call) {
  const Need need = NeedOf(call.method);
  if (need == Need::kNothing) {
    return absl::OkStatus();
  }
  INNERLOOP_RETURN_IF_ERROR(CheckVersion(call.api_version));
  if (mode_ == Mode::kOpen && need == Need::kUserCertificate) {
    return absl::PermissionDeniedError(
        "this coordinator is open to other machines without TLS, where nobody can tell who makes "
        "tokens");
  }
  return mode_ == Mode::kTls ? CheckRole(need, call) : absl::OkStatus();
}

absl::StatusOr<Gate::Caller> Gate::ByToken(absl::string_view authorization) {
  if (authorization.empty()) {
    return Caller();
  }
  if (!absl::ConsumePrefix(&authorization, "Bearer ")) {
    return absl::UnauthenticatedError("the header 'authorization' must be 'Bearer TOKEN'");
  }
  INNERLOOP_ASSIGN_OR_RETURN(const v1::Token token, tokens_.Use(authorization));
  return Caller{token.role(), absl::StrCat("the token '", token.name(), "'")};
}

absl::Status Gate::CheckRole(Need need, const IncomingCall& call) {
  INNERLOOP_ASSIGN_OR_RETURN(const Caller token, ByToken(call.authorization));
  if (Suffices(token.role, need, /*certificate=*/false)) {
    return absl::OkStatus();
  }
  Caller holder;
  if (!call.certificate.empty()) {
    INNERLOOP_ASSIGN_OR_RETURN(const Certificate certificate, ParseCertificate(call.certificate));
    holder = {ToRole(certificate.role), absl::StrCat("the certificate '", certificate.name, "'")};
  }
  if (Suffices(holder.role, need, /*certificate=*/true)) {
    return absl::OkStatus();
  }
  const Caller& caller = holder.who.empty() ? token : holder;
  if (caller.who.empty()) {
    return absl::UnauthenticatedError(
        "this coordinator wants to know its callers: give a certificate (--tls-cert, --tls-key) or "
        "a token (INNERLOOP_TOKEN, --token-file)");
  }
  return absl::PermissionDeniedError(
      absl::StrCat(caller.who, " has the role ", RoleName(caller.role), "; ",
                   call.method.substr(call.method.rfind('/') + 1), " needs ", NeedText(need)));
}

v1::Role Gate::RoleOf(const grpc::ServerContextBase& context) {
  return mode_ != Mode::kTls || CheckRole(Need::kUser, CallOf(context)).ok() ? v1::ROLE_USER
                                                                             : v1::ROLE_VIEWER;
}

absl::Status Gate::CheckAgain(const grpc::ServerContextBase& context) {
  const IncomingCall call = CallOf(context);
  return mode_ != Mode::kTls || call.authorization.empty() ? absl::OkStatus()
                                                           : CheckRole(Need::kViewer, call);
}

}  // namespace innerloop::server
