#include "core/archive/tar.h"

#include <utility>

#include <archive.h>
#include <archive_entry.h>

#include "absl/strings/str_cat.h"

namespace innerloop {

TarWriter::TarWriter(TarSink sink) : sink_(std::move(sink)), writer_(archive_write_new()) {
  archive_write_set_format_gnutar(writer_);
  // As the pieces come, without buffer and filling.
  archive_write_set_bytes_per_block(writer_, 0);
  const auto write = [](archive*, void* self, const void* data, size_t bytes) -> la_ssize_t {
    auto& writer = *static_cast<TarWriter*>(self);
    writer.sunk_ = writer.sink_(absl::string_view(static_cast<const char*>(data), bytes));
    return writer.sunk_.ok() ? static_cast<la_ssize_t>(bytes) : -1;
  };
  archive_write_open2(writer_, this, nullptr, write, nullptr, nullptr);
}

TarWriter::~TarWriter() {
  // Without the end of an archive that was not finished.
  archive_write_fail(writer_);
  archive_write_free(writer_);
}

absl::Status TarWriter::Failed() const {
  if (!sunk_.ok()) {
    return sunk_;
  }
  const char* const why = archive_error_string(writer_);
  return absl::InternalError(absl::StrCat("cannot write a tar file: ", why == nullptr ? "" : why));
}

absl::Status TarWriter::Begin(const std::string& name, uint64_t bytes, absl::Time modified) {
  const std::unique_ptr<archive_entry, decltype(&archive_entry_free)> entry(archive_entry_new(),
                                                                            &archive_entry_free);
  archive_entry_set_pathname(entry.get(), name.c_str());
  archive_entry_set_filetype(entry.get(), AE_IFREG);
  archive_entry_set_perm(entry.get(), 0644);  // of nobody in particular
  archive_entry_set_size(entry.get(), static_cast<la_int64_t>(bytes));
  archive_entry_set_mtime(entry.get(), absl::ToUnixSeconds(modified), 0);
  return archive_write_header(writer_, entry.get()) == ARCHIVE_OK ? absl::OkStatus() : Failed();
}

absl::Status TarWriter::Append(absl::string_view data) {
  const la_ssize_t written = archive_write_data(writer_, data.data(), data.size());
  return written == static_cast<la_ssize_t>(data.size()) ? absl::OkStatus() : Failed();
}

absl::Status TarWriter::Finish() {
  return archive_write_close(writer_) == ARCHIVE_OK ? absl::OkStatus() : Failed();
}

TarReader::TarReader(std::string path)
    : path_(std::move(path)), buffer_(kTarPiece, '\0'), reader_(archive_read_new()) {
  archive_read_support_format_tar(reader_);
}

TarReader::~TarReader() { archive_read_free(reader_); }

absl::Status TarReader::Failed() const {
  const char* const why = archive_error_string(reader_);
  const std::string text =
      absl::StrCat("cannot read '", path_, "': ", why == nullptr ? "damaged" : why);
  return begun_ ? absl::DataLossError(text) : absl::InvalidArgumentError(text);
}

absl::StatusOr<std::unique_ptr<TarReader>> TarReader::Open(const std::string& path) {
  std::unique_ptr<TarReader> tar(new TarReader(path));
  if (archive_read_open_filename(tar->reader_, path.c_str(), kTarPiece) != ARCHIVE_OK) {
    return tar->Failed();
  }
  return tar;
}

absl::StatusOr<std::optional<std::string>> TarReader::Next() {
  archive_entry* entry = nullptr;
  const int result = archive_read_next_header(reader_, &entry);
  if (result == ARCHIVE_EOF) {
    return std::nullopt;
  }
  if (result != ARCHIVE_OK) {
    return Failed();
  }
  begun_ = true;
  const char* const name = archive_entry_pathname(entry);
  const std::string text = name == nullptr ? "" : name;
  if (archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry) != nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", path_, "' holds '", text, "', which is no plain file"));
  }
  return std::optional<std::string>(text);
}

absl::StatusOr<absl::string_view> TarReader::Read() {
  const la_ssize_t got = archive_read_data(reader_, buffer_.data(), buffer_.size());
  if (got < 0) {
    return Failed();
  }
  return absl::string_view(buffer_).substr(0, static_cast<size_t>(got));
}

}  // namespace innerloop
