// Comma-separated values as RFC 4180 has them, read row by row.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/dataset/archive.h"

namespace innerloop {

// A CSV file, plain or gzip. Rows end with LF, CR LF or the file; empty lines count as none; a byte
// order mark is passed over. Quotes stand around whole cells, inside them doubled. Memory holds a
// piece of the file, not all of it. One thread only.
class CsvReader {
 public:
  // Most bytes of one row's cells, so that a lost quote does not take all memory.
  static constexpr size_t kMaxRow = size_t{1} << 26;

  static absl::StatusOr<CsvReader> Open(const std::string& path);
  // The cells of the next row; false when there is none. INVALID_ARGUMENT begins with "FILE:LINE:
  // ".
  absl::StatusOr<bool> Next(std::vector<std::string>& cells);
  // The line on which the last row began, from 1.
  int64_t line() const { return row_line_; }
  // INVALID_ARGUMENT about the last row.
  absl::Status ErrorAt(int64_t line, absl::string_view what) const;

 private:
  CsvReader(std::string path, GzipFile file) : path_(std::move(path)), file_(std::move(file)) {}
  // The next byte, or kEnd.
  absl::StatusOr<int> Take();
  // What comes after a quoted cell's first quote, up to the byte behind its last.
  absl::StatusOr<int> TakeQuoted(std::string& cell);
  // A cell, given its first byte. Returns what ended it: ',', '\n' or kEnd.
  absl::StatusOr<int> TakeCell(int byte, std::string& cell);

  std::string path_;
  GzipFile file_;
  std::string piece_;
  size_t used_ = 0;
  int64_t line_ = 1;
  int64_t row_line_ = 1;
};

}  // namespace innerloop
