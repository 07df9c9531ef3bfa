#include "core/rpc/checked_credentials.h"

#include <string>
#include <utility>

#include <grpc/grpc.h>
#include <grpc/grpc_security.h>

#include "absl/strings/str_cat.h"
#include "core/rpc/call_headers.h"
#include "core/rpc/certificate.h"
#include "core/support/status_macros.h"

namespace innerloop {
namespace {

absl::string_view View(const grpc_slice& slice) {
  return {reinterpret_cast<const char*>(GRPC_SLICE_START_PTR(slice)), GRPC_SLICE_LENGTH(slice)};
}

IncomingCall Describe(const grpc_auth_context* connection, const grpc_metadata* headers,
                      size_t count) {
  IncomingCall call;
  for (size_t i = 0; i < count; ++i) {
    const absl::string_view key = View(headers[i].key);
    if (key == ":path") {
      call.method = View(headers[i].value);
    } else if (key == kAuthorizationHeader) {
      call.authorization = View(headers[i].value);
    } else if (key == kApiVersionHeader) {
      call.api_version = View(headers[i].value);
    }
  }
  grpc_auth_property_iterator properties =
      grpc_auth_context_find_properties_by_name(connection, GRPC_X509_PEM_CERT_PROPERTY_NAME);
  if (const grpc_auth_property* const pem = grpc_auth_property_iterator_next(&properties)) {
    call.certificate = {pem->value, pem->value_length};
  }
  return call;
}

void Process(void* state, grpc_auth_context* connection, const grpc_metadata* headers, size_t count,
             grpc_process_auth_metadata_done_cb done, void* user_data) {
  const absl::Status status =
      (*static_cast<const CallCheck*>(state))(Describe(connection, headers, count));
  done(user_data, nullptr, 0, nullptr, 0, static_cast<grpc_status_code>(status.code()),
       status.ok() ? nullptr : std::string(status.message()).c_str());
}

// gRPC's C++ wrapper has such a check for TLS alone, and runs it in threads of its own.
class CheckedCredentials final : public grpc::ServerCredentials {
 public:
  CheckedCredentials(const TlsTexts& texts, CallCheck check) {
    if (texts.cert.empty()) {
      credentials_ = grpc_insecure_server_credentials_create();
    } else {
      grpc_ssl_pem_key_cert_pair pair = {texts.key.c_str(), texts.cert.c_str()};
      credentials_ = grpc_ssl_server_credentials_create_ex(
          texts.ca.c_str(), &pair, 1, GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY, nullptr);
    }
    grpc_server_credentials_set_auth_metadata_processor(
        credentials_, {Process, [](void* state) { delete static_cast<CallCheck*>(state); },
                       new CallCheck(std::move(check))});
  }
  ~CheckedCredentials() override { grpc_server_credentials_release(credentials_); }
  CheckedCredentials(const CheckedCredentials&) = delete;
  CheckedCredentials& operator=(const CheckedCredentials&) = delete;

  void SetAuthMetadataProcessor(
      const std::shared_ptr<grpc::AuthMetadataProcessor>& /*processor*/) override {}

 private:
  int AddPortToServer(const std::string& address, grpc_server* server) override {
    return grpc_server_add_http2_port(server, address.c_str(), credentials_);
  }

  grpc_server_credentials* credentials_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MakeServerCredentials(
    const TlsFiles& files, CallCheck check) {
  INNERLOOP_RETURN_IF_ERROR(CheckComplete(files));
  INNERLOOP_ASSIGN_OR_RETURN(const TlsTexts texts, ReadTlsFiles(files));
  if (!files.empty()) {
    INNERLOOP_ASSIGN_OR_RETURN(const Certificate certificate, ParseCertificate(texts.cert));
    if (!certificate.for_servers) {
      return absl::InvalidArgumentError(absl::StrCat(
          "--tls-cert '", files.cert, "' is of a ",
          certificate.role.empty() ? "client" : certificate.role,
          ", not of a coordinator: innerloop certs issue --role coordinator makes one"));
    }
  }
  return std::make_shared<CheckedCredentials>(texts, std::move(check));
}

}  // namespace innerloop
