// Getting a data set's file from the coordinator.
#pragma once

#include <string>

#include <grpcpp/client_context.h>

#include "absl/status/status.h"
#include "innerloop/v1/checkpoint.pb.h"
#include "innerloop/v1/work.grpc.pb.h"

namespace innerloop::worker {

// Fetches what is missing of `part_path` (an earlier fetch may have been broken off) until it is
// the whole file, on disk, with the right SHA-256. DATA_LOSS when what arrives is something else:
// the file is removed then. Blocks; `context` cancels it. Called by DataSetCache from slot threads.
absl::Status FetchDataSetFile(v1::Work::StubInterface& stub, grpc::ClientContext& context,
                              const v1::DataSetDescription& description,
                              const std::string& part_path);

}  // namespace innerloop::worker
