// The data sets that a worker has, by hash.
#pragma once

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
#include "worker/metrics.h"

namespace innerloop::worker {

// Files SHA256.safetensors in a folder that several processes may share, each fetched once, under a
// lock of its own (SHA256.lock), and verified before it is used. Used by Job from slot threads;
// thread-safe.
class DataSetCache {
 public:
  // Makes the folder. UNAVAILABLE names it.
  static absl::StatusOr<std::unique_ptr<DataSetCache>> Create(const std::string& folder,
                                                              Metrics& metrics);
  // Opens the data set, and fetches it first when it is not there; who asks for it meanwhile waits
  // for the same fetch. DATA_LOSS: what can be had is damaged. RESOURCE_EXHAUSTED: the disk is
  // full.
  absl::StatusOr<std::shared_ptr<const Dataset>> Get(const v1::DataSetDescription& description,
                                                     v1::Work::StubInterface& stub);
  // Breaks off all fetches, now and later.
  void CancelFetches();

 private:
  // `loading` is held while the data set is fetched and opened.
  struct Entry {
    absl::Mutex loading;
    std::weak_ptr<const Dataset> data_set ABSL_GUARDED_BY(loading);
  };
  DataSetCache(std::string folder, Metrics& metrics)
      : folder_(std::move(folder)), metrics_(metrics) {}
  absl::Status Provide(const v1::DataSetDescription& description, v1::Work::StubInterface& stub,
                       const std::string& path);
  absl::Status Fetch(const v1::DataSetDescription& description, v1::Work::StubInterface& stub,
                     const std::string& part_path);
  void Measure();

  const std::string folder_;
  Metrics& metrics_;

  absl::Mutex mu_;
  bool cancelled_ ABSL_GUARDED_BY(mu_) = false;
  absl::flat_hash_map<std::string, std::shared_ptr<Entry>> entries_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_set<grpc::ClientContext*> fetches_ ABSL_GUARDED_BY(mu_);
};

}  // namespace innerloop::worker
