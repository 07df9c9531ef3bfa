// The coordinator's data sets: files in STATE/datasets/SHA256.safetensors, uploads under way in
// STATE/datasets/SHA256.part.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "innerloop/v1/training.pb.h"
#include "server/storage/state_store.h"

namespace innerloop::server {

// Thread-safe.
class DataSetStore {
 public:
  DataSetStore(std::string state_dir, uint64_t quota, StateStore& state);

  // Where the upload goes on. RESOURCE_EXHAUSTED beyond the quota; INVALID_ARGUMENT for a bad name
  // or hash. When the bytes are there already, the name is bound to them and `complete` is set.
  absl::StatusOr<v1::BeginDataSetUploadResponse> Begin(
      const v1::BeginDataSetUploadRequest& request);
  // OUT_OF_RANGE when offset is not where the upload stands.
  absl::Status Append(const v1::BeginDataSetUploadRequest& file, uint64_t offset,
                      absl::string_view data);
  // Checks length, SHA-256 and structure, and makes it visible. DATA_LOSS removes what was
  // received.
  absl::StatusOr<v1::DataSetDescription> Finish(const v1::BeginDataSetUploadRequest& file);

  absl::StatusOr<std::vector<v1::DataSetDescription>> List();
  // By name or hash. NOT_FOUND lists the known names.
  absl::StatusOr<v1::DataSetDescription> Find(absl::string_view name_or_sha256);
  std::string PathOf(absl::string_view sha256) const;
  absl::Status Delete(absl::string_view name_or_sha256);

 private:
  std::string state_dir_;
  uint64_t quota_;
  StateStore& state_;
};

}  // namespace innerloop::server
