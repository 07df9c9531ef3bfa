#include "core/archive/tar.h"

#include <algorithm>
#include <utility>

#include <archive.h>
#include <archive_entry.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/support/status_macros.h"

namespace innerloop {

namespace {

constexpr size_t kBlock = 512;
// Where fields of a header begin, and how long they are.
constexpr size_t kName = 100;
constexpr size_t kSizeAt = 124;
constexpr size_t kSizeLength = 12;
constexpr size_t kChecksumAt = 148;
constexpr size_t kPrefixAt = 345;
constexpr size_t kPrefix = 155;
constexpr uint64_t kMostOctal = uint64_t{1} << 33;

void Put(std::string& header, size_t at, absl::string_view value) {
  header.replace(at, value.size(), value.data(), value.size());
}

void PutSize(std::string& header, uint64_t bytes) {
  if (bytes < kMostOctal) {
    Put(header, kSizeAt, absl::StrFormat("%011o", bytes));
    return;
  }
  header[kSizeAt] = '\x80';
  for (size_t i = 0; i < sizeof(bytes); ++i) {
    header[kSizeAt + kSizeLength - 1 - i] = static_cast<char>(bytes >> (8 * i));
  }
}

}  // namespace

absl::Status TarWriter::Begin(absl::string_view name, uint64_t bytes, absl::Time modified) {
  absl::string_view prefix;
  absl::string_view last = name;
  if (name.size() > kName) {
    const size_t slash = name.rfind('/');
    prefix = name.substr(0, slash == absl::string_view::npos ? 0 : slash);
    last = name.substr(prefix.empty() ? 0 : slash + 1);
  }
  if (last.size() > kName || prefix.size() > kPrefix) {
    return absl::InvalidArgumentError(absl::StrCat("'", name, "' is too long a name for tar"));
  }
  std::string header(kBlock, '\0');
  Put(header, 0, last);
  Put(header, 100, "0000644");
  Put(header, 108, "0000000");  // of nobody in particular
  Put(header, 116, "0000000");
  PutSize(header, bytes);
  Put(header, 136, absl::StrFormat("%011o", std::max<int64_t>(0, absl::ToUnixSeconds(modified))));
  Put(header, kChecksumAt, "        ");
  header[156] = '0';
  Put(header, 257, "ustar");
  Put(header, 263, "00");
  Put(header, kPrefixAt, prefix);
  uint32_t sum = 0;
  for (const char byte : header) {
    sum += static_cast<unsigned char>(byte);
  }
  Put(header, kChecksumAt, absl::StrFormat("%06o", sum));
  header[kChecksumAt + 6] = '\0';
  INNERLOOP_RETURN_IF_ERROR(Pad());
  bytes_ = bytes;
  return sink_(header);
}

absl::Status TarWriter::Append(absl::string_view data) { return sink_(data); }

absl::Status TarWriter::Pad() {
  const size_t beyond = std::exchange(bytes_, 0) % kBlock;
  return beyond == 0 ? absl::OkStatus() : sink_(std::string(kBlock - beyond, '\0'));
}

absl::Status TarWriter::Finish() {
  INNERLOOP_RETURN_IF_ERROR(Pad());
  return sink_(std::string(2 * kBlock, '\0'));
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
