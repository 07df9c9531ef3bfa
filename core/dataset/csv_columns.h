// What an import takes of a CSV file: columns, and which of their cells are numbers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/dataset/import.h"

namespace innerloop {

// Places in the first line.
struct CsvColumns {
  std::vector<size_t> features;
  std::vector<size_t> targets;
  std::optional<size_t> group;
};

// Whether a cell is a decimal number, as "-2.5e3": not hexadecimal, "inf" or "nan". Beyond double's
// range it is infinite.
bool ParseDecimal(const std::string& cell, double& number);
// The number in a cell of this column. INVALID_ARGUMENT when it is none, or beyond float32's range.
absl::StatusOr<float> NumberOf(const std::string& cell, const std::string& column);

// What a text takes where it is kept.
inline uint64_t BytesOfText(const std::string& text) { return sizeof(std::string) + text.size(); }
// INVALID_ARGUMENT when the rows up to here take more than `most` bytes.
absl::Status CheckBytes(uint64_t bytes, uint64_t most);

// INVALID_ARGUMENT says which column is missing, there twice, or asked for twice.
absl::StatusOr<CsvColumns> ChooseColumns(const CsvImportOptions& options,
                                         const std::vector<std::string>& header);

}  // namespace innerloop
