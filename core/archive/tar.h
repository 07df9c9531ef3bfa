// Tar files: written as a stream, read from a file. Plain files alone.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

struct archive;

namespace innerloop {

// Takes the archive piece by piece, of at most kTarPiece bytes. A status that is not OK ends it.
using TarSink = std::function<absl::Status(absl::string_view piece)>;
inline constexpr size_t kTarPiece = size_t{1} << 20;

// Writes entries one after the other, in GNU's form, which has no limit on names and sizes. One
// thread only.
class TarWriter {
 public:
  explicit TarWriter(TarSink sink);
  ~TarWriter();
  TarWriter(const TarWriter&) = delete;
  TarWriter& operator=(const TarWriter&) = delete;

  // Begins a file of `bytes`, which Append gives piece by piece.
  absl::Status Begin(const std::string& name, uint64_t bytes, absl::Time modified);
  // Pieces of at most kTarPiece bytes.
  absl::Status Append(absl::string_view data);
  absl::Status Finish();

 private:
  // The sink's status, or what the library says.
  absl::Status Failed() const;

  const TarSink sink_;
  absl::Status sunk_;
  archive* writer_;
};

// Reads an uncompressed tar file. One thread only.
class TarReader {
 public:
  static absl::StatusOr<std::unique_ptr<TarReader>> Open(const std::string& path);
  ~TarReader();
  TarReader(const TarReader&) = delete;
  TarReader& operator=(const TarReader&) = delete;

  // Name of the next entry; nullopt at the end. INVALID_ARGUMENT when the file is no tar file, or
  // the entry is no plain file; DATA_LOSS, also of Read, when it is damaged or was cut off.
  absl::StatusOr<std::optional<std::string>> Next();
  // More of the entry at hand, at most kTarPiece bytes; empty at its end. Valid until the next
  // call.
  absl::StatusOr<absl::string_view> Read();

 private:
  explicit TarReader(std::string path);
  absl::Status Failed() const;

  const std::string path_;
  std::string buffer_;
  // An entry was read: it is a tar file.
  bool begun_ = false;
  archive* reader_;
};

}  // namespace innerloop
