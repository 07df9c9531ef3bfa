// Rows of a table in their order, for tasks of a user's own.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/dataset/import.h"

namespace innerloop {

struct CsvRows {
  int64_t count = 0;
  // One after the other, as many for each row as there are feature columns.
  std::vector<float> features;
  int64_t width = 0;
  // For classification each row's class, for regression its targets; empty when the table has none.
  std::vector<std::string> classes;
  std::vector<float> targets;
  // Names of the target columns.
  std::vector<std::string> target_names;
};

// The names in the file's first line.
absl::StatusOr<std::vector<std::string>> ReadCsvHeader(const std::string& path);

// Reads the columns that the options name (no targets: none). Its group column may be missing.
// Statuses as of ImportCsv.
absl::StatusOr<CsvRows> ReadCsvRows(CsvImportOptions options);

}  // namespace innerloop
