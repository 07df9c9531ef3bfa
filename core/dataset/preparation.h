// How the examples of a data set were made, so that new ones can be made alike. The importers write
// it into a data set's `preparation`.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/dataset/import.h"
#include "innerloop/v1/checkpoint.pb.h"

namespace innerloop {

// "KEY=VALUE" for each value.
std::vector<std::string> PreparationEntries(absl::string_view key,
                                            const std::vector<std::string>& values);
// Columns of a table as ChooseColumns takes them: neighbours in the header as runs "FIRST-LAST".
std::vector<std::string> RunsOf(const std::vector<size_t>& columns,
                                const std::vector<std::string>& header);

// Size, channels and inversion of images. INVALID_ARGUMENT when the data set's are not square.
absl::StatusOr<ImageImportOptions> ImageOptionsOf(const v1::DataSetDescription& data_set);

// Columns of a table. `features` is empty for data sets that do not tell: all but the others.
CsvImportOptions CsvOptionsOf(const v1::DataSetDescription& data_set);
// Of a table whose groups share their classes: their names, in order; empty when it does not tell.
std::vector<std::string> ClassNamesOf(const v1::DataSetDescription& data_set);

}  // namespace innerloop
