// A folder that goes away again.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace innerloop::client {

// A fresh folder below $TMPDIR, removed with all it holds by the destructor. What processes that
// were killed left behind is removed by the next one's Create. Movable; thread-compatible.
class TemporaryFolder {
 public:
  static absl::StatusOr<TemporaryFolder> Create();
  TemporaryFolder(TemporaryFolder&& other) noexcept;
  TemporaryFolder& operator=(TemporaryFolder&&) = delete;
  ~TemporaryFolder();
  const std::string& path() const { return path_; }

 private:
  TemporaryFolder(std::string path, int lock) : path_(std::move(path)), lock_(lock) {}

  std::string path_;
  // Locked while the owner lives.
  int lock_;
};

}  // namespace innerloop::client
