// Which columns of a CSV file an import takes.
#pragma once

#include <cstddef>
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

// INVALID_ARGUMENT says which column is missing, there twice, or asked for twice.
absl::StatusOr<CsvColumns> ChooseColumns(const CsvImportOptions& options,
                                         const std::vector<std::string>& header);

}  // namespace innerloop
