// How the examples of a data set were made, so that new ones can be made alike. The importers write
// it into a data set's `preparation`.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/dataset/import.h"
#include "innerloop/v1/checkpoint.pb.h"

namespace innerloop {

// "feature=NAME" for each column, and "features=x1..x9" for names that differ by a running number,
// of which there may be hundreds. (Not what stands between two in the header: another table has its
// columns in another order.)
std::vector<std::string> FeatureEntries(const std::vector<std::string>& names);

// Size, channels and inversion of images. INVALID_ARGUMENT when the data set's are not square.
absl::StatusOr<ImageImportOptions> ImageOptionsOf(const v1::DataSetDescription& data_set);

// Columns of a table. `features` is empty for data sets that do not tell: all but the others.
CsvImportOptions CsvOptionsOf(const v1::DataSetDescription& data_set);
// Of a table whose groups share their classes: their names, in order; empty when it does not tell.
std::vector<std::string> ClassNamesOf(const v1::DataSetDescription& data_set);

}  // namespace innerloop
