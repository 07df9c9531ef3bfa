#include "server/storage/leftovers.h"

#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "core/support/partial_file.h"

namespace innerloop::server {
namespace {

namespace fs = std::filesystem;

// What cannot be removed does no harm but for its bytes.
void RemovePartialFiles(const fs::path& folder) {
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry->path().extension() == kPartialSuffix) {
      std::error_code ignored;
      fs::remove(entry->path(), ignored);
    }
  }
}

}  // namespace

void RemoveLeftovers(const std::string& state_dir) {
  std::error_code error;
  fs::remove_all(absl::StrCat(state_dir, "/uploads"), error);
  for (fs::directory_iterator job(absl::StrCat(state_dir, "/jobs"), error), end;
       !error && job != end; job.increment(error)) {
    RemovePartialFiles(job->path());
  }
}

}  // namespace innerloop::server
