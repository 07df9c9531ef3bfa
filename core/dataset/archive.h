// Files inside folders and archives, with limits on what is taken from them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

struct archive;

namespace innerloop {

// Takes a file: its path below the source, and its bytes. Paths are labels only: nothing is ever
// written to them.
using FileVisitor = std::function<absl::Status(const std::string& path, const std::string& bytes)>;

// Visits the regular files of a folder, or of a zip or (compressed) tar archive, that `wanted`
// wants, in the source's order. A status that is not OK ends it. INVALID_ARGUMENT when the source
// is neither, is damaged, or has a wanted file of more than `limit` bytes.
absl::Status VisitFiles(const std::string& source,
                        const std::function<bool(absl::string_view path)>& wanted, uint64_t limit,
                        const FileVisitor& visit);

// A file that may be compressed by gzip, read from its beginning. One thread only.
class GzipFile {
 public:
  static absl::StatusOr<GzipFile> Open(const std::string& path);
  // The next `most` bytes, fewer at the end; takes memory for what is there, not for `most`.
  absl::StatusOr<std::string> Read(uint64_t most);

 private:
  struct Close {
    void operator()(archive* reader) const;
  };
  explicit GzipFile(std::string path);
  std::string path_;
  std::unique_ptr<archive, Close> reader_;
  bool empty_ = false;
};

}  // namespace innerloop
