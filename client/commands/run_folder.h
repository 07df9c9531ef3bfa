// The jobs that `train` keeps in a state folder.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/api/training_client.h"
#include "client/commands/job_file.h"
#include "client/render/live_line.h"
#include "innerloop/v1/training.pb.h"

namespace innerloop::client {

// A job that can be submitted.
struct PreparedJob {
  v1::JobSpec resolved;
  std::optional<DataSetFile> data_set;
  // File of a model of the user's own; empty for other models.
  std::string model_file;
};
// Reads the file, applies the assignments, opens the data set, and holds the job against it.
absl::StatusOr<PreparedJob> PrepareJob(const std::string& file,
                                       const std::vector<std::string>& assignments,
                                       const std::vector<std::string>& data_flags);

// Starts jobs in the folder whose coordinator `client` talks to, or goes on with those that are
// there. The references outlive it. One thread only.
class RunFolder {
 public:
  RunFolder(std::string path, const PreparedJob& prepared, TrainingClient& client, LiveLine& live)
      : path_(std::move(path)), prepared_(prepared), client_(client), live_(live) {}

  // The job `found`, brought to what is wanted; or a new one when it is empty, or failed or was
  // cancelled. INVALID_ARGUMENT when `found` cannot be brought there; the folder is left as it was.
  absl::StatusOr<v1::Job> SubmitOrContinue(v1::JobSpec wanted, const std::string& found);
  // INVALID_ARGUMENT with the differences when a run with the one specification cannot go on as the
  // other.
  absl::Status CheckSame(const v1::JobSpec& there, const v1::JobSpec& wanted) const;

 private:
  absl::StatusOr<v1::Job> Submit(const v1::JobSpec& wanted);
  absl::Status CheckContinues(const v1::Job& job, const v1::JobSpec& wanted) const;

  const std::string path_;
  const PreparedJob& prepared_;
  TrainingClient& client_;
  LiveLine& live_;
};

}  // namespace innerloop::client
