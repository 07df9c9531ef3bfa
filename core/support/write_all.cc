#include "core/support/write_all.h"

#include <algorithm>
#include <cerrno>

#include <unistd.h>

#include "absl/strings/str_cat.h"

namespace innerloop {

absl::Status WriteAll(int descriptor, const std::string& path, absl::string_view data) {
  while (!data.empty()) {
    const ssize_t written =
        write(descriptor, data.data(), std::min<size_t>(data.size(), size_t{1} << 30));
    if (written < 0) {
      if (errno == EINTR) {
        continue;
      }
      return absl::ErrnoToStatus(errno, absl::StrCat("cannot write '", path, "'"));
    }
    data.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

}  // namespace innerloop
