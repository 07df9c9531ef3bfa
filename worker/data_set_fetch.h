// Getting a file from the coordinator: a data set's, or a user's model.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include <grpcpp/client_context.h>

#include "absl/status/status.h"
#include "absl/synchronization/notification.h"
#include "innerloop/v1/work.grpc.pb.h"

namespace innerloop::worker {

struct FileToFetch {
  std::string what;  // for people, e.g. "data set 'digits'"
  std::string sha256;
  uint64_t bytes = 0;
};

// The coordinator as a session's jobs get files from it. Shared by Session and its jobs;
// thread-safe.
struct FileSource {
  explicit FileSource(std::unique_ptr<v1::Work::StubInterface> coordinator)
      : stub(std::move(coordinator)) {}
  const std::unique_ptr<v1::Work::StubInterface> stub;
  // The session is over: nothing is asked for again.
  absl::Notification closed;
};

// Fetches what is missing of `part_path` (an earlier fetch may have been broken off) until it is
// the whole file, on disk, with the right SHA-256. DATA_LOSS when what arrives is something else: a
// whole file with another hash is removed then, any other part stays. RESOURCE_EXHAUSTED when this
// machine's disk is full, and never because the coordinator said so. Sets `again` when gRPC ended
// the call, not the coordinator's service, which had no thread for it or is cut off: what has come
// stays, and asking again may do. Blocks; `context` cancels it. Called by DataSetCache from slot
// threads.
absl::Status FetchFile(v1::Work::StubInterface& stub, grpc::ClientContext& context,
                       const FileToFetch& file, const std::string& part_path, bool* again);

}  // namespace innerloop::worker
