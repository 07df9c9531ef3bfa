#include "worker/health.h"

#include <chrono>

#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>

#include "absl/memory/memory.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/rpc/channel_arguments.h"

namespace innerloop::worker {

absl::StatusOr<std::unique_ptr<HealthServer>> HealthServer::Create(const std::string& listen) {
  grpc::EnableDefaultHealthCheckService(true);
  auto health = absl::WrapUnique(new HealthServer());
  grpc::ServerBuilder builder;
  SetServerArguments(builder);
  int port = 0;
  builder.AddListeningPort(listen, grpc::InsecureServerCredentials(), &port);
  builder.RegisterCallbackGenericService(&health->others_);
  health->server_ = builder.BuildAndStart();
  if (health->server_ == nullptr || port == 0) {
    return absl::UnavailableError(absl::StrCat("cannot serve health checks on ", listen,
                                               ": the address is in use or not this machine's"));
  }
  health->address_ = absl::StrCat(listen.substr(0, listen.rfind(':')), ":", port);
  health->SetServing(false);
  return health;
}

HealthServer::~HealthServer() {
  if (server_ != nullptr) {
    // Watches of the service are open for ever; they are cut.
    server_->Shutdown(std::chrono::system_clock::now());
  }
}

void HealthServer::SetServing(bool serving) {
  server_->GetHealthCheckService()->SetServingStatus(serving);
}

}  // namespace innerloop::worker
