// The data sets and users' models that a worker has, by hash.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <grpcpp/client_context.h>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "core/dataset/dataset.h"
#include "innerloop/v1/checkpoint.pb.h"
#include "innerloop/v1/work.grpc.pb.h"
#include "worker/cache_folder.h"
#include "worker/data_set_fetch.h"
#include "worker/metrics.h"

namespace innerloop::worker {

// Files SHA256.safetensors in a folder that several processes may share, each fetched once, under a
// lock of its own (SHA256.lock), and verified before it is used. Those that were not used for
// longest make room for new ones. Used by Job from slot threads; thread-safe.
class DataSetCache {
 public:
  // Makes the folder, which holds at most `most_bytes`. UNAVAILABLE names it.
  static absl::StatusOr<std::unique_ptr<DataSetCache>> Create(const std::string& folder,
                                                              uint64_t most_bytes,
                                                              Metrics& metrics);
  // Opens the data set, and fetches it first when it is not there; who asks for it meanwhile waits
  // for the same fetch. DATA_LOSS: what can be had is damaged. RESOURCE_EXHAUSTED: the disk is
  // full, or what is in use leaves no room for it.
  absl::StatusOr<std::shared_ptr<const Dataset>> Get(const v1::DataSetDescription& description,
                                                     v1::Work::StubInterface& stub);
  // Path of a model's file, fetched first when it is not there; to be opened before it makes room
  // for others. Errors as above.
  absl::StatusOr<std::string> GetModel(const v1::TorchScriptModel& model,
                                       v1::Work::StubInterface& stub);
  // Breaks off all fetches, now and later.
  void CancelFetches();

 private:
  // A file that is being fetched, or a data set that may be open.
  struct Held {
    uint64_t bytes = 0;
    bool fetching = false;
    std::weak_ptr<const Dataset> data_set;
  };
  DataSetCache(const std::string& folder, uint64_t most_bytes, Metrics& metrics)
      : folder_(folder, most_bytes), metrics_(metrics) {}
  // Held while a data set is fetched and opened. Before mu_.
  absl::Mutex& LoadingMutex(const std::string& sha256) ABSL_LOCKS_EXCLUDED(mu_);
  std::shared_ptr<const Dataset> FindOpen(const std::string& sha256) ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<std::shared_ptr<const Dataset>> Load(const v1::DataSetDescription& description,
                                                      v1::Work::StubInterface& stub)
      ABSL_LOCKS_EXCLUDED(mu_);
  // Sees to it that the file is at `path`.
  absl::Status Provide(const FileToFetch& file, const std::string& path,
                       v1::Work::StubInterface& stub) ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status MakeRoom(const FileToFetch& file) ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status Fetch(const FileToFetch& file, v1::Work::StubInterface& stub)
      ABSL_LOCKS_EXCLUDED(mu_);

  const CacheFolder folder_;
  Metrics& metrics_;

  absl::Mutex mu_;
  bool cancelled_ ABSL_GUARDED_BY(mu_) = false;
  // By hash.
  absl::flat_hash_map<std::string, std::unique_ptr<absl::Mutex>> loading_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_map<std::string, Held> held_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_set<grpc::ClientContext*> fetches_ ABSL_GUARDED_BY(mu_);
};

}  // namespace innerloop::worker
