#include "core/support/file_system.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "core/support/status_macros.h"
#include "core/support/write_all.h"

namespace innerloop {
namespace {

namespace fs = std::filesystem;

absl::Status Failed(absl::string_view what, const std::string& path, int error) {
  return absl::ErrnoToStatus(error, absl::StrCat("cannot ", what, " '", path, "'"));
}

absl::Status SyncFolder(const std::string& folder) {
  const int descriptor =
      open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) {
    return Failed("open the folder", folder, errno);
  }
  const absl::Cleanup close_it = [&] { close(descriptor); };
  return fsync(descriptor) == 0 ? absl::OkStatus() : Failed("sync the folder", folder, errno);
}

std::string Folder(const std::string& path) { return fs::path(path).parent_path().string(); }

class RealFileSystem final : public FileSystem {
 public:
  absl::Status Replace(const std::string& path,
                       absl::Span<const absl::string_view> pieces) const override {
    static std::atomic<uint64_t> counter{0};
    const std::string temporary =
        absl::StrCat(path, ".", getpid(), "-", counter.fetch_add(1), ".tmp");
    // Errors name the file that the caller knows of.
    const int descriptor = open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (descriptor < 0) {
      return Failed("create", path, errno);
    }
    absl::Cleanup remove_it = [&] { unlink(temporary.c_str()); };
    {
      const absl::Cleanup close_it = [&] { close(descriptor); };
      for (const absl::string_view piece : pieces) {
        INNERLOOP_RETURN_IF_ERROR(WriteAll(descriptor, path, piece));
      }
      if (fsync(descriptor) != 0) {
        return Failed("sync", path, errno);
      }
    }
    INNERLOOP_RETURN_IF_ERROR(Rename(temporary, path));
    std::move(remove_it).Cancel();
    return absl::OkStatus();
  }

  absl::StatusOr<std::string> Read(const std::string& path, uint64_t limit) const override {
    const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
      return Failed("open", path, errno);
    }
    const absl::Cleanup close_it = [&] { close(descriptor); };
    struct stat facts {};
    if (fstat(descriptor, &facts) != 0) {
      return Failed("examine", path, errno);
    }
    if (!S_ISREG(facts.st_mode)) {
      return absl::InvalidArgumentError(absl::StrCat("'", path, "' is not a file"));
    }
    if (static_cast<uint64_t>(facts.st_size) > limit) {
      return absl::ResourceExhaustedError(absl::StrCat("'", path, "' has ", facts.st_size,
                                                       " bytes; at most ", limit, " are taken"));
    }
    std::string content(static_cast<size_t>(facts.st_size), '\0');
    size_t have = 0;
    while (have < content.size()) {
      const ssize_t got = read(descriptor, content.data() + have, content.size() - have);
      if (got < 0 && errno == EINTR) {
        continue;
      }
      if (got < 0) {
        return Failed("read", path, errno);
      }
      if (got == 0) {
        return absl::DataLossError(absl::StrCat("'", path, "' became shorter while it was read"));
      }
      have += static_cast<size_t>(got);
    }
    return content;
  }

  absl::Status Remove(const std::string& path) const override {
    if (unlink(path.c_str()) == 0 || errno == ENOENT) {
      return absl::OkStatus();
    }
    return Failed("remove", path, errno);
  }

  absl::Status Rename(const std::string& from, const std::string& to) const override {
    if (rename(from.c_str(), to.c_str()) != 0) {
      return Failed(absl::StrCat("rename '", from, "' to"), to, errno);
    }
    return SyncFolder(Folder(to));
  }

  absl::Status MakeFolder(const std::string& path) const override {
    std::error_code error;
    fs::create_directories(path, error);
    return error ? Failed("make the folder", path, error.value()) : absl::OkStatus();
  }

  absl::StatusOr<std::vector<std::string>> List(const std::string& path) const override {
    std::error_code error;
    std::vector<std::string> names;
    for (fs::directory_iterator entry(path, error), end; !error && entry != end;
         entry.increment(error)) {
      names.push_back(entry->path().filename().string());
    }
    if (error) {
      return Failed("list", path, error.value());
    }
    std::sort(names.begin(), names.end());
    return names;
  }
};

}  // namespace

const FileSystem& FileSystem::Real() {
  static const RealFileSystem* const file_system = new RealFileSystem();
  return *file_system;
}

}  // namespace innerloop
