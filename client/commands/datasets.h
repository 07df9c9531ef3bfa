// Commands about data sets: making them, and those that the coordinator keeps.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "client/session.h"
#include "core/dataset/examples/examples.h"
#include "core/dataset/import.h"

namespace innerloop::client {

// Make the file `out`.
absl::Status ImportImageDataSet(ImageImportOptions options, const std::string& out,
                                Session& session);
absl::Status ImportIdxDataSet(IdxImportOptions options, const std::string& out, Session& session);
absl::Status ImportCsvDataSet(CsvImportOptions options, const std::string& out, Session& session);
// A table of made-up data, as CSV.
absl::Status MakeExampleData(const ExampleData& example, uint64_t seed, const std::string& out,
                             Session& session);

// "NAME=FILE", or a FILE, which has a name of its own.
absl::Status AddDataSet(const std::string& data_set, Session& session);
absl::Status ListDataSets(Session& session);
// A file, or a name or SHA-256 on the coordinator. `classes` lists a file's classes, of
// grouped data its groups, too.
absl::Status ShowDataSet(const std::string& data_set, bool classes, Session& session);
absl::Status RemoveDataSet(const std::string& data_set, bool force, Session& session);

}  // namespace innerloop::client
