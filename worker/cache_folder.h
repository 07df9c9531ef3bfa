// The files of a worker's cache, and which of them go when room is needed.
#pragma once

#include <cstdint>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace innerloop::worker {

// Excludes other processes (and other threads) from one data set's files while it lives.
class FileLock {
 public:
  // Waits for it.
  static absl::StatusOr<FileLock> Take(const std::string& path);
  // UNAVAILABLE at once when somebody has it.
  static absl::StatusOr<FileLock> Try(const std::string& path);
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&&) = delete;
  ~FileLock();

 private:
  explicit FileLock(int file) : file_(file) {}
  static absl::StatusOr<FileLock> Take(const std::string& path, int operation);
  int file_;
};

// SHA256.safetensors (data sets), SHA256.pt (models) and SHA256.part in a folder that several
// workers may share. A file's time of modification tells when it was used last, so that all of them
// know. Used by DataSetCache. Thread-compatible.
class CacheFolder {
 public:
  // Holds at most `most_bytes`.
  CacheFolder(std::string path, uint64_t most_bytes)
      : path_(std::move(path)), most_bytes_(most_bytes) {}

  std::string DataSet(absl::string_view sha256) const;
  std::string Model(absl::string_view sha256) const;
  std::string Part(absl::string_view sha256) const;
  std::string Lock(absl::string_view sha256) const;

  // The file is used now.
  void Touch(const std::string& path) const;
  // Removes what was not used for longest until `needed` fits beside the rest: files, and the
  // parts that broken fetches left. `needed` maps the hashes that must stay to the bytes that they
  // have or will have; RESOURCE_EXHAUSTED, and nothing goes, when they alone do not fit. What
  // another worker of the folder reads or fetches at this moment stays, too: it does not keep this
  // one from its work, and the folder holds more than it should until the next call. What a worker
  // only holds open lives on until it closes it.
  absl::Status MakeRoom(const absl::flat_hash_map<std::string, uint64_t>& needed) const;
  // Of all files, without parts.
  uint64_t Bytes() const;

 private:
  const std::string path_;
  const uint64_t most_bytes_;
};

}  // namespace innerloop::worker
