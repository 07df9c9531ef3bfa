// From a job file and flags to a job that can be submitted.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "innerloop/v1/checkpoint.pb.h"
#include "innerloop/v1/job.pb.h"

namespace innerloop::client {

// Reads the file, applies "path=value" assignments, and reads the class lists it names. Errors name
// the file or the assignment.
absl::StatusOr<v1::JobSpec> LoadJob(const std::string& path,
                                    const std::vector<std::string>& assignments);

// A data set in a file, under the name that jobs call it by.
struct DataSetFile {
  std::string name;
  std::string path;
};
// "NAME=FILE".
absl::StatusOr<DataSetFile> ParseDataFlag(const std::string& flag);

// The data set's file: what a --data flag says, else $INNERLOOP_DATA/NAME.safetensors. NOT_FOUND
// says how to give or make it.
absl::StatusOr<DataSetFile> FindDataSet(const std::string& name,
                                        const std::vector<std::string>& data_flags);
// Opens and verifies the file; the description has `file.name`.
absl::StatusOr<v1::DataSetDescription> DescribeDataSet(const DataSetFile& file);

}  // namespace innerloop::client
