// Getting a file from the coordinator: a data set's, or a user's model.
#pragma once

#include <cstdint>
#include <string>

#include <grpcpp/client_context.h>

#include "absl/status/status.h"
#include "innerloop/v1/work.grpc.pb.h"

namespace innerloop::worker {

struct FileToFetch {
  std::string what;  // for people, e.g. "data set 'digits'"
  std::string sha256;
  uint64_t bytes = 0;
};

// Fetches what is missing of `part_path` (an earlier fetch may have been broken off) until it is
// the whole file, on disk, with the right SHA-256. DATA_LOSS when what arrives is something else:
// the file is removed then. Blocks; `context` cancels it. Called by DataSetCache from slot threads.
absl::Status FetchFile(v1::Work::StubInterface& stub, grpc::ClientContext& context,
                       const FileToFetch& file, const std::string& part_path);

}  // namespace innerloop::worker
