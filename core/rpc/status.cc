#include "core/rpc/status.h"

#include <string>

namespace innerloop {

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) {
    return grpc::Status::OK;
  }
  // As google.rpc.Status has it: field 1, the code.
  const std::string details = {'\x08', static_cast<char>(status.code())};
  return {static_cast<grpc::StatusCode>(status.code()), std::string(status.message()), details};
}

bool IsAnswer(const grpc::Status& status) { return !status.error_details().empty(); }

absl::Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) {
    return absl::OkStatus();
  }
  return {static_cast<absl::StatusCode>(status.error_code()), status.error_message()};
}

}  // namespace innerloop
