#include "core/dataset/csv_reader.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/support/status_macros.h"

namespace innerloop {
namespace {

constexpr int kEnd = -1;
constexpr uint64_t kPiece = uint64_t{1} << 20;
constexpr absl::string_view kByteOrderMark = "\xEF\xBB\xBF";

}  // namespace

absl::StatusOr<CsvReader> CsvReader::Open(const std::string& path) {
  INNERLOOP_ASSIGN_OR_RETURN(GzipFile file, GzipFile::Open(path));
  CsvReader reader(path, std::move(file));
  INNERLOOP_ASSIGN_OR_RETURN(reader.piece_, reader.file_.Read(kPiece));
  reader.used_ = absl::StartsWith(reader.piece_, kByteOrderMark) ? kByteOrderMark.size() : 0;
  return reader;
}

absl::Status CsvReader::ErrorAt(int64_t line, absl::string_view what) const {
  return absl::InvalidArgumentError(absl::StrCat(path_, ":", line, ": ", what));
}

absl::StatusOr<int> CsvReader::Take() {
  if (used_ == piece_.size()) {
    INNERLOOP_ASSIGN_OR_RETURN(piece_, file_.Read(kPiece));
    used_ = 0;
    if (piece_.empty()) {
      return kEnd;
    }
  }
  const int byte = static_cast<unsigned char>(piece_[used_++]);
  line_ += byte == '\n' ? 1 : 0;
  return byte;
}

absl::StatusOr<int> CsvReader::TakeQuoted(std::string& cell) {
  const int64_t begin = line_;
  while (cell.size() < kMaxRow) {
    INNERLOOP_ASSIGN_OR_RETURN(int byte, Take());
    if (byte == kEnd) {
      return ErrorAt(begin, "the cell that begins here with a quote has none at its end");
    }
    if (byte == '"') {
      INNERLOOP_ASSIGN_OR_RETURN(byte, Take());
      if (byte != '"') {
        return byte;
      }
    }
    cell.push_back(static_cast<char>(byte));
  }
  return ErrorAt(
      begin, absl::StrCat("the quoted cell that begins here has more than ", kMaxRow, " bytes"));
}

absl::StatusOr<int> CsvReader::TakeCell(int byte, std::string& cell) {
  bool quoted = false;
  if (byte == '"') {
    quoted = true;
    INNERLOOP_ASSIGN_OR_RETURN(byte, TakeQuoted(cell));
  }
  while (byte != ',' && byte != '\n' && byte != kEnd) {
    const int this_byte = byte;
    INNERLOOP_ASSIGN_OR_RETURN(byte, Take());
    if (this_byte == '\r' && (byte == '\n' || byte == kEnd)) {
      break;
    }
    if (quoted || this_byte == '"') {
      return ErrorAt(row_line_, quoted ? "a quoted cell goes on after its closing quote"
                                       : "a cell has a quote inside and none around it; write "
                                         "\"...\"\"...\"");
    }
    if (cell.size() >= kMaxRow) {
      return ErrorAt(row_line_, absl::StrCat("a cell has more than ", kMaxRow, " bytes"));
    }
    cell.push_back(static_cast<char>(this_byte));
  }
  return byte;
}

absl::StatusOr<bool> CsvReader::Next(std::vector<std::string>& cells) {
  cells.clear();
  int byte = '\n';
  while (byte == '\n' || byte == '\r') {
    row_line_ = line_;
    INNERLOOP_ASSIGN_OR_RETURN(byte, Take());
  }
  if (byte == kEnd) {
    return false;
  }
  size_t bytes = 0;
  for (;;) {
    INNERLOOP_ASSIGN_OR_RETURN(const int end, TakeCell(byte, cells.emplace_back()));
    bytes += cells.back().size() + sizeof(std::string);
    if (end != ',') {
      return true;
    }
    if (bytes > kMaxRow) {
      return ErrorAt(row_line_, absl::StrCat("the row has more than ", kMaxRow, " bytes"));
    }
    INNERLOOP_ASSIGN_OR_RETURN(byte, Take());
  }
}

}  // namespace innerloop
