// Commands about data sets: making them, and those that the coordinator keeps.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "client/session.h"
#include "core/dataset/import.h"

namespace innerloop::client {

// Make the file `out`.
absl::Status ImportImageDataSet(ImageImportOptions options, const std::string& out,
                                Session& session);
absl::Status ImportIdxDataSet(IdxImportOptions options, const std::string& out, Session& session);

// "NAME=FILE", or a FILE, which has a name of its own.
absl::Status AddDataSet(const std::string& data_set, Session& session);
absl::Status ListDataSets(Session& session);
// A file, or a name or SHA-256 on the coordinator. `classes` lists a file's classes, too.
absl::Status ShowDataSet(const std::string& data_set, bool classes, Session& session);
absl::Status RemoveDataSet(const std::string& data_set, Session& session);

}  // namespace innerloop::client
