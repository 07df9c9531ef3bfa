#include "core/dataset/archive.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include <archive.h>
#include <archive_entry.h>

#include "absl/strings/str_cat.h"
#include "core/support/file_system.h"
#include "core/support/status_macros.h"

namespace innerloop {
namespace {

namespace fs = std::filesystem;

constexpr size_t kBlock = size_t{1} << 20;

struct FreeReader {
  void operator()(archive* reader) const { archive_read_free(reader); }
};
using Reader = std::unique_ptr<archive, FreeReader>;

absl::Status Failed(const std::string& source, archive* reader) {
  const char* const reason = archive_error_string(reader);
  return absl::InvalidArgumentError(
      absl::StrCat("cannot read '", source, "': ", reason == nullptr ? "damaged" : reason));
}

// Up to `most` bytes of the entry at hand.
absl::StatusOr<std::string> ReadData(archive* reader, const std::string& source, uint64_t most) {
  std::string data;
  while (data.size() < most) {
    const size_t have = data.size();
    data.resize(have + std::min<uint64_t>(kBlock, most - have));
    const la_ssize_t got = archive_read_data(reader, data.data() + have, data.size() - have);
    if (got < 0) {
      return Failed(source, reader);
    }
    data.resize(have + static_cast<size_t>(got));
    if (got == 0) {
      break;
    }
  }
  return data;
}

absl::Status TooLarge(const std::string& source, absl::string_view path, uint64_t limit) {
  return absl::InvalidArgumentError(absl::StrCat("'", path, "' in '", source, "' has more than ",
                                                 limit, " bytes, the most that is taken"));
}

absl::Status VisitFolder(const std::string& source,
                         const std::function<bool(absl::string_view)>& wanted, uint64_t limit,
                         const FileVisitor& visit) {
  std::error_code error;
  for (fs::recursive_directory_iterator entry(source, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string path = entry->path().lexically_relative(source).generic_string();
    std::error_code ignored;
    if (!entry->is_regular_file(ignored) || !wanted(path)) {
      continue;
    }
    const auto bytes = FileSystem::Real().Read(entry->path().string(), limit);
    if (absl::IsResourceExhausted(bytes.status())) {
      return TooLarge(source, path, limit);
    }
    INNERLOOP_RETURN_IF_ERROR(bytes.status());
    INNERLOOP_RETURN_IF_ERROR(visit(path, *bytes));
  }
  if (error) {
    return absl::ErrnoToStatus(error.value(),
                               absl::StrCat("cannot read the folder '", source, "'"));
  }
  return absl::OkStatus();
}

absl::Status VisitArchive(const std::string& source,
                          const std::function<bool(absl::string_view)>& wanted, uint64_t limit,
                          const FileVisitor& visit) {
  const Reader reader(archive_read_new());
  // Chosen one by one: "all" includes filters that start other programs.
  archive_read_support_filter_gzip(reader.get());
  archive_read_support_filter_bzip2(reader.get());
  archive_read_support_filter_xz(reader.get());
  archive_read_support_format_zip(reader.get());
  archive_read_support_format_tar(reader.get());
  if (archive_read_open_filename(reader.get(), source.c_str(), kBlock) != ARCHIVE_OK) {
    return Failed(source, reader.get());
  }
  for (;;) {
    archive_entry* entry = nullptr;
    const int result = archive_read_next_header(reader.get(), &entry);
    if (result == ARCHIVE_EOF) {
      return absl::OkStatus();
    }
    if (result != ARCHIVE_OK && result != ARCHIVE_WARN) {
      return Failed(source, reader.get());
    }
    // Names that the locale cannot express are there as UTF-8 alone, undeclared ones as bytes.
    const char* name = archive_entry_pathname_utf8(entry);
    name = name != nullptr ? name : archive_entry_pathname(entry);
    if (name == nullptr || archive_entry_filetype(entry) != AE_IFREG || !wanted(name)) {
      continue;
    }
    const std::string path = name;
    INNERLOOP_ASSIGN_OR_RETURN(const std::string bytes,
                               ReadData(reader.get(), absl::StrCat(source, ":", path), limit + 1));
    if (bytes.size() > limit) {
      return TooLarge(source, path, limit);
    }
    INNERLOOP_RETURN_IF_ERROR(visit(path, bytes));
  }
}

}  // namespace

absl::Status VisitFiles(const std::string& source,
                        const std::function<bool(absl::string_view path)>& wanted, uint64_t limit,
                        const FileVisitor& visit) {
  std::error_code error;
  const fs::file_status status = fs::status(source, error);
  if (!fs::exists(status)) {
    return absl::NotFoundError(absl::StrCat("there is no '", source, "'"));
  }
  return fs::is_directory(status) ? VisitFolder(source, wanted, limit, visit)
                                  : VisitArchive(source, wanted, limit, visit);
}

void GzipFile::Close::operator()(archive* reader) const { archive_read_free(reader); }

GzipFile::GzipFile(std::string path) : path_(std::move(path)), reader_(archive_read_new()) {}

absl::StatusOr<GzipFile> GzipFile::Open(const std::string& path) {
  std::error_code error;
  if (!fs::is_regular_file(path, error)) {
    return absl::NotFoundError(absl::StrCat("there is no file '", path, "'"));
  }
  GzipFile file(path);
  archive_read_support_filter_gzip(file.reader_.get());
  archive_read_support_format_raw(file.reader_.get());
  archive_read_support_format_empty(file.reader_.get());
  archive_entry* entry = nullptr;
  if (archive_read_open_filename(file.reader_.get(), path.c_str(), kBlock) != ARCHIVE_OK) {
    return Failed(path, file.reader_.get());
  }
  const int result = archive_read_next_header(file.reader_.get(), &entry);
  if (result != ARCHIVE_OK && result != ARCHIVE_EOF) {
    return Failed(path, file.reader_.get());
  }
  file.empty_ = result == ARCHIVE_EOF;
  return file;
}

absl::StatusOr<std::string> GzipFile::Read(uint64_t most) {
  return empty_ ? std::string() : ReadData(reader_.get(), path_, most);
}

}  // namespace innerloop
