#include "server/storage/data_set_store.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/dataset/dataset.h"
#include "core/support/checksum.h"
#include "core/support/status_macros.h"

namespace innerloop::server {
namespace {

constexpr size_t kMaxNameLength = 100;

absl::Status CheckRequest(const v1::BeginDataSetUploadRequest& file) {
  const std::string& name = file.name();
  const bool good_name = !name.empty() && name.size() <= kMaxNameLength && name != "." &&
                         name != ".." && std::all_of(name.begin(), name.end(), [](char c) {
                           return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-';
                         });
  if (!good_name) {
    return absl::InvalidArgumentError(
        absl::StrCat("name is '", absl::string_view(name).substr(0, kMaxNameLength),
                     "'; it should be 1 to 100 characters of A-Z a-z 0-9 . _ -"));
  }
  if (IsSha256Hex(name)) {
    return absl::InvalidArgumentError(
        absl::StrCat("name is '", name,
                     "'; 64 hexadecimal digits stand for the data set of that SHA-256: give it "
                     "another name"));
  }
  return absl::OkStatus();
}

absl::Status Unknown(absl::string_view name_or_sha256,
                     const std::vector<v1::DataSetDescription>& known) {
  return absl::NotFoundError(absl::StrCat(
      "unknown data set '", name_or_sha256.substr(0, kMaxNameLength), "'; known: ",
      known.empty() ? "none"
                    : absl::StrJoin(known, ", ", [](std::string* out, const auto& data_set) {
                        absl::StrAppend(out, data_set.name());
                      })));
}

v1::StoredFile FileOf(const v1::BeginDataSetUploadRequest& request) {
  v1::StoredFile file;
  file.set_sha256(request.sha256());
  file.set_bytes(request.bytes());
  return file;
}

}  // namespace

DataSetStore::DataSetStore(const std::string& state_dir, uint64_t quota, StateStore& state)
    : files_(absl::StrCat(state_dir, "/datasets"), ".safetensors", "data set", quota),
      models_(absl::StrCat(state_dir, "/models"), ".pt", "model", quota),
      state_(state) {}

absl::StatusOr<v1::DataSetDescription> DataSetStore::Bind(
    const v1::BeginDataSetUploadRequest& file) {
  INNERLOOP_ASSIGN_OR_RETURN(v1::DataSetDescription description, FindBySha256(file.sha256()));
  description.set_name(file.name());
  INNERLOOP_RETURN_IF_ERROR(state_.PutDataSet(description));
  return description;
}

absl::StatusOr<v1::BeginUploadResponse> DataSetStore::Begin(
    const v1::BeginDataSetUploadRequest& request) {
  INNERLOOP_RETURN_IF_ERROR(CheckRequest(request));
  const absl::MutexLock lock(&mutex_);
  INNERLOOP_ASSIGN_OR_RETURN(v1::BeginUploadResponse response, files_.Begin(FileOf(request)));
  if (response.complete()) {
    INNERLOOP_RETURN_IF_ERROR(Bind(request).status());
  }
  return response;
}

absl::Status DataSetStore::Append(const v1::BeginDataSetUploadRequest& file, uint64_t offset,
                                  absl::string_view data) {
  INNERLOOP_RETURN_IF_ERROR(CheckRequest(file));
  return files_.Append(FileOf(file), offset, data);
}

absl::StatusOr<v1::DataSetDescription> DataSetStore::Finish(
    const v1::BeginDataSetUploadRequest& file) {
  INNERLOOP_RETURN_IF_ERROR(CheckRequest(file));
  INNERLOOP_RETURN_IF_ERROR(files_.Finish(FileOf(file), [&](const std::string& path) {
    const absl::Status opened = Dataset::Open(path).status();
    return opened.ok() ? opened
                       : absl::InvalidArgumentError(absl::StrCat(
                             "'", file.name(), "' is no data set: ", opened.message()));
  }));
  const absl::MutexLock lock(&mutex_);
  return Bind(file);
}

absl::StatusOr<std::vector<v1::DataSetDescription>> DataSetStore::List() {
  return state_.DataSets();
}

absl::StatusOr<v1::DataSetDescription> DataSetStore::Find(absl::string_view name_or_sha256) {
  if (IsSha256Hex(name_or_sha256)) {
    return FindBySha256(name_or_sha256);
  }
  INNERLOOP_ASSIGN_OR_RETURN(std::vector<v1::DataSetDescription> all, state_.DataSets());
  for (v1::DataSetDescription& data_set : all) {
    if (data_set.name() == name_or_sha256) {
      return std::move(data_set);
    }
  }
  return Unknown(name_or_sha256, all);
}

absl::StatusOr<v1::DataSetDescription> DataSetStore::FindBySha256(absl::string_view sha256) {
  INNERLOOP_ASSIGN_OR_RETURN(std::vector<v1::DataSetDescription> all, state_.DataSets());
  for (v1::DataSetDescription& data_set : all) {
    if (data_set.sha256() == sha256) {
      return std::move(data_set);
    }
  }
  // A running job keeps the bytes of a name that stands for others now.
  if (files_.Find(sha256).has_value()) {
    INNERLOOP_ASSIGN_OR_RETURN(const std::shared_ptr<const Dataset> dataset,
                               Dataset::Open(PathOf(sha256)));
    v1::DataSetDescription description = dataset->Describe();
    description.set_sha256(std::string(sha256));
    return description;
  }
  return Unknown(sha256, all);
}

absl::Status DataSetStore::Delete(absl::string_view name_or_sha256) {
  const absl::MutexLock lock(&mutex_);
  INNERLOOP_ASSIGN_OR_RETURN(const v1::DataSetDescription found, Find(name_or_sha256));
  const bool by_name = !IsSha256Hex(name_or_sha256);
  INNERLOOP_ASSIGN_OR_RETURN(const std::vector<v1::DataSetDescription> all, state_.DataSets());
  bool last = true;
  for (const v1::DataSetDescription& data_set : all) {
    if (data_set.sha256() != found.sha256()) {
      continue;
    }
    if (by_name && data_set.name() != found.name()) {
      last = false;
      continue;
    }
    INNERLOOP_RETURN_IF_ERROR(state_.DeleteDataSet(data_set.name()));
  }
  if (last) {
    return files_.Remove(found.sha256());
  }
  return absl::OkStatus();
}

}  // namespace innerloop::server
