// The coordinator's data sets: files in STATE/datasets/SHA256.safetensors, uploads under way in
// STATE/datasets/SHA256.part.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "innerloop/v1/training.pb.h"
#include "server/storage/state_store.h"
#include "server/storage/upload_folder.h"

namespace innerloop::server {

// Called by the services, and by the coordinator to look data sets up. Thread-safe.
class DataSetStore {
 public:
  // `quota`: most bytes of all files together, unfinished uploads included.
  DataSetStore(const std::string& state_dir, uint64_t quota, StateStore& state);

  // Where the upload goes on. RESOURCE_EXHAUSTED beyond the quota; INVALID_ARGUMENT for a bad name
  // (one of 64 hexadecimal digits would be taken for a hash) or hash. When the bytes are there
  // already, the name is bound to them and `complete` is set.
  absl::StatusOr<v1::BeginUploadResponse> Begin(const v1::BeginDataSetUploadRequest& request);
  // OUT_OF_RANGE when offset is not where the upload stands.
  absl::Status Append(const v1::BeginDataSetUploadRequest& file, uint64_t offset,
                      absl::string_view data);
  // Checks length, SHA-256 and structure, and makes it visible. DATA_LOSS (another hash) and
  // INVALID_ARGUMENT (no data set) remove what was received; FAILED_PRECONDITION when bytes are
  // missing.
  absl::StatusOr<v1::DataSetDescription> Finish(const v1::BeginDataSetUploadRequest& file);

  absl::StatusOr<std::vector<v1::DataSetDescription>> List();
  // By name or hash: 64 lower-case hexadecimal digits are a hash. NOT_FOUND lists the known names.
  absl::StatusOr<v1::DataSetDescription> Find(absl::string_view name_or_sha256);
  absl::StatusOr<v1::DataSetDescription> FindBySha256(absl::string_view sha256);
  std::string PathOf(absl::string_view sha256) const { return files_.PathOf(sha256); }
  // By name: the bytes go with the last name that stands for them. By hash: all its names.
  absl::Status Delete(absl::string_view name_or_sha256);

  // TorchScript files of users' models, in STATE/models; as many bytes as of data sets. They have
  // no names.
  UploadFolder& models() { return models_; }
  // The data sets' own, in STATE/datasets.
  UploadFolder& files() { return files_; }

 private:
  // Binds the request's name to a file that is there.
  absl::StatusOr<v1::DataSetDescription> Bind(const v1::BeginDataSetUploadRequest& file);

  UploadFolder files_;
  UploadFolder models_;
  StateStore& state_;
  // Names and files change together.
  absl::Mutex mutex_;
};

}  // namespace innerloop::server
