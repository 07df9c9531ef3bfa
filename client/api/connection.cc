#include "client/api/connection.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/rpc/call_headers.h"
#include "core/rpc/channel_arguments.h"
#include "core/rpc/explain_connection.h"
#include "core/rpc/status.h"

namespace innerloop::client {
namespace {

constexpr absl::Duration kExplainPatience = absl::Seconds(3);

// All checked: what MakeChannel uses is good.
absl::StatusOr<Security> ResolveAndCheck(const ClientOptions& options) {
  INNERLOOP_ASSIGN_OR_RETURN(Security security, Resolve(options.security, options.coordinator));
  INNERLOOP_RETURN_IF_ERROR(MakeChannelCredentials(security.tls).status());
  return security;
}

// Calls over a channel without security fail before they leave.
std::shared_ptr<grpc::Channel> MakeChannel(const std::string& coordinator,
                                           const absl::StatusOr<Security>& security) {
  grpc::ChannelArguments arguments = ClientArguments();
  // A coordinator that restarts is back in a second; gRPC's own back-off grows to two minutes.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  // A proxy for web pages does not lead to a coordinator, least of all to one on loopback.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  const auto credentials = security.ok()
                               ? MakeChannelCredentials(security->tls)
                               : absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>>(nullptr);
  return MakeChannelWithHeaders(coordinator, credentials.ok() ? *credentials : nullptr, arguments,
                                security.ok() ? security->token : "");
}

}  // namespace

Connection::Connection(ClientOptions options, Cancellation& cancellation)
    : options_(std::move(options)),
      cancellation_(cancellation),
      security_(ResolveAndCheck(options_)),
      channel_(MakeChannel(options_.coordinator, security_)) {}

absl::Status Connection::Convert(const grpc::Status& status) const {
  if (status.ok()) {
    return absl::OkStatus();
  }
  if (absl::Status why = cancellation_.status(); !why.ok()) {
    return why;
  }
  INNERLOOP_RETURN_IF_ERROR(security_.status());
  if (status.error_code() == grpc::StatusCode::UNAVAILABLE && !IsAnswer(status)) {
    INNERLOOP_RETURN_IF_ERROR(
        ExplainConnection(options_.coordinator, security_->tls, kExplainPatience));
    // gRPC's own words about an address that nobody answers tell people nothing more.
    const bool nobody =
        absl::StartsWith(status.error_message(), "failed to connect to all addresses");
    return absl::UnavailableError(absl::StrCat(
        "cannot reach the coordinator at ", options_.coordinator, ": ",
        nobody ? "start innerloop-coordinator there, or name another with --coordinator HOST:PORT"
               : status.error_message()));
  }
  if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
    return absl::UnavailableError(
        absl::StrCat("the coordinator at ", options_.coordinator, " gave no answer in time"));
  }
  return FromGrpc(status);
}

}  // namespace innerloop::client
