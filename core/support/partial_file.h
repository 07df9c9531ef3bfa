// A file that appears when all of it is there.
#pragma once

#include <string>

#include <sys/types.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace innerloop {

// What a temporary name ends with. A process that is killed leaves its files behind.
inline constexpr char kPartialSuffix[] = ".tmp";

// Written under a temporary name in the folder of its own, which Commit gives it; removed when that
// is not reached. Errors name the file that the caller knows of. One thread only.
class PartialFile {
 public:
  // With the rights `mode`, less the process's mask.
  static absl::StatusOr<PartialFile> Create(std::string path, mode_t mode);
  ~PartialFile();
  PartialFile(PartialFile&& other) noexcept;
  PartialFile& operator=(PartialFile&&) = delete;

  absl::Status Write(absl::string_view data);
  // All of it durable, in place of what had the name before.
  absl::Status Commit();

  // Where it is until then, for a look at what was written.
  const std::string& temporary_path() const { return temporary_; }

 private:
  PartialFile(std::string path, std::string temporary, int descriptor);

  std::string path_;
  std::string temporary_;
  int descriptor_;  // -1: committed or moved from
};

}  // namespace innerloop
