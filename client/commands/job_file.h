// From a job file and flags to a job that can be submitted.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/dataset/dataset.h"
#include "innerloop/v1/checkpoint.pb.h"
#include "innerloop/v1/job.pb.h"

namespace innerloop::client {

// Reads the file, applies "path=value" assignments, and reads the class lists and describes the
// model file that it names. Errors name the file or the assignment.
absl::StatusOr<v1::JobSpec> LoadJob(const std::string& path,
                                    const std::vector<std::string>& assignments);

// INVALID_ARGUMENT unless the hash of the job's own model, if it has one, is among those
// `allowed`. `file` is its name for people.
absl::Status CheckModelAllowed(const v1::JobSpec& spec, const std::string& file,
                               const std::vector<std::string>& allowed);

// A data set in a file, under the name that jobs call it by.
struct DataSetFile {
  std::string name;
  std::string path;
};
// "NAME=FILE".
absl::StatusOr<DataSetFile> ParseDataFlag(const std::string& flag);
// INVALID_ARGUMENT when a flag does not parse or names another data set than the job's, `name`.
absl::Status CheckDataFlags(const std::vector<std::string>& data_flags,
                            const std::optional<std::string>& name);

// The file of the data set that the tasks are drawn from: what a --data flag says, else
// $INNERLOOP_DATA/NAME.safetensors. NOT_FOUND says how to give or make it.
absl::StatusOr<DataSetFile> FindDataSet(const v1::TaskSource& tasks,
                                        const std::vector<std::string>& data_flags);

// A data set's file, opened and verified. The description has the file's `name`.
struct OpenedDataSet {
  DataSetFile file;
  std::shared_ptr<const Dataset> examples;
  v1::DataSetDescription description;
};
absl::StatusOr<OpenedDataSet> OpenDataSet(const DataSetFile& file);

}  // namespace innerloop::client
