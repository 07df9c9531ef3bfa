// The data sets and users' models that a worker has, by hash.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

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
#include "innerloop/v1/work.pb.h"
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
  // for the same fetch. A coordinator that is too busy is asked again until `source` is closed.
  // DATA_LOSS: what can be had is damaged. RESOURCE_EXHAUSTED: this machine's disk is full, or the
  // folder has no room for it beside what is in use.
  absl::StatusOr<std::shared_ptr<const Dataset>> Get(const v1::DataSetDescription& description,
                                                     const FileSource& source);
  // Path of a model's file, fetched first when it is not there; to be opened before it makes room
  // for others. Errors as above.
  absl::StatusOr<std::string> GetModel(const v1::TorchScriptModel& model, const FileSource& source);
  // Breaks off all fetches, now and later; one that waits to ask again ends with its source.
  void CancelFetches() ABSL_LOCKS_EXCLUDED(mu_);
  // Files that somebody waits for, and how much of each is there.
  std::vector<v1::FileFetch> Fetches() const ABSL_LOCKS_EXCLUDED(mu_);

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
                                                      const FileSource& source)
      ABSL_LOCKS_EXCLUDED(mu_);
  // Sees to it that the file is at `path`, and stays there while the lock lives: another worker of
  // the folder might remove it to make room.
  absl::StatusOr<FileLock> Provide(const FileToFetch& file, const std::string& path,
                                   const FileSource& source) ABSL_LOCKS_EXCLUDED(mu_);
  // The same, under that lock.
  absl::Status FetchUnlessThere(const FileToFetch& file, const std::string& path,
                                const FileSource& source) ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status MakeRoom(const FileToFetch& file) ABSL_LOCKS_EXCLUDED(mu_);
  // Calls until the coordinator answers.
  absl::Status Fetch(const FileToFetch& file, const FileSource& source) ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status Call(const FileToFetch& file, const FileSource& source, bool* again)
      ABSL_LOCKS_EXCLUDED(mu_);

  const CacheFolder folder_;
  Metrics& metrics_;

  mutable absl::Mutex mu_;
  bool cancelled_ ABSL_GUARDED_BY(mu_) = false;
  // By hash.
  absl::flat_hash_map<std::string, std::unique_ptr<absl::Mutex>> loading_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_map<std::string, Held> held_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_set<grpc::ClientContext*> fetches_ ABSL_GUARDED_BY(mu_);
  // Files that are being provided, and their bytes.
  absl::flat_hash_map<std::string, uint64_t> awaited_ ABSL_GUARDED_BY(mu_);
};

}  // namespace innerloop::worker
