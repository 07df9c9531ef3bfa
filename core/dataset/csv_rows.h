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
  // Each row's place in the file, from 1 behind the first line.
  std::vector<int64_t> places;
  // One after the other, as many for each row as there are feature columns.
  std::vector<float> features;
  int64_t width = 0;
  // For classification each row's class, for regression its targets; empty when the table has none.
  std::vector<std::string> classes;
  std::vector<float> targets;
  // Names of the target columns.
  std::vector<std::string> target_names;
  // Each row's group; empty when the options name no group column, or the file has none of that
  // name.
  std::vector<std::string> groups;
};

// The names in the file's first line.
absl::StatusOr<std::vector<std::string>> ReadCsvHeader(const std::string& path);

// Reads the columns that the options name (no targets: none). Its group column may be missing,
// unless rows `of_group` alone are wanted (empty: all). Statuses as of ImportCsv.
absl::StatusOr<CsvRows> ReadCsvRows(CsvImportOptions options, const std::string& of_group = "");

}  // namespace innerloop
