#include "core/support/file_system.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "core/support/partial_file.h"
#include "core/support/status_macros.h"

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
    INNERLOOP_ASSIGN_OR_RETURN(PartialFile file, PartialFile::Create(path, 0644));
    for (const absl::string_view piece : pieces) {
      INNERLOOP_RETURN_IF_ERROR(file.Write(piece));
    }
    return file.Commit();
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
    std::vector<std::string> parents;
    for (fs::path folder = path; !folder.empty() && !fs::exists(folder, error);
         folder = folder.parent_path()) {
      parents.push_back(Folder(folder));
    }
    fs::create_directories(path, error);
    if (error) {
      return Failed("make the folder", path, error.value());
    }
    for (const std::string& parent : parents) {
      INNERLOOP_RETURN_IF_ERROR(SyncFolder(parent));
    }
    return absl::OkStatus();
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
