#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/archive/backup.h"
#include "tests/fuzz/memory_file.h"

// Whatever the file says, nothing appears but the folder, and that only when the backup is right.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace fs = std::filesystem;
  const innerloop::MemoryFile file(std::string(reinterpret_cast<const char*>(data), size));
  const fs::path parent = absl::StrCat("/dev/shm/innerloop-fuzz-", getpid());
  fs::create_directories(parent);
  const bool restored =
      innerloop::RestoreBackup(file.path(), (parent / "state").string(), nullptr).ok();
  for (const fs::directory_entry& entry : fs::directory_iterator(parent)) {
    if (!restored || entry.path().filename() != "state") {
      std::abort();
    }
  }
  fs::remove_all(parent);
  return 0;
}
