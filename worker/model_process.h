// A process of its own that computes one job with a user's model: what it breaks is its own.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include <sys/types.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "innerloop/v1/job.pb.h"
#include "innerloop/v1/work.pb.h"
#include "worker/model_channel.h"

namespace innerloop::worker {

struct ModelProcessOptions {
  // The worker's own program.
  std::string program = "/proc/self/exe";
  // Most writable memory of the process (RLIMIT_DATA), LibTorch's own included.
  uint64_t memory_bytes = uint64_t{4} << 30;
};

// What a process is given.
struct ModelProcessJob {
  v1::JobDescription description;
  uint64_t max_parameters = UINT64_MAX;
  // Open files; -1: none. They stay the caller's.
  int model = -1;
  int data_set = -1;
  // Most time for making the program and for each work item.
  absl::Duration time_limit = absl::InfiniteDuration();
};

// Used by ModelProgram: one thread at a time, and started by one that outlives the process.
class ModelProcess {
 public:
  // Starts it and has it make its program. The statuses are the program's own; FAILED_PRECONDITION
  // names the limit that was reached, RESOURCE_EXHAUSTED is for more parameters than allowed,
  // INTERNAL says how the process died. `on_line` hears what it prints.
  static absl::StatusOr<std::unique_ptr<ModelProcess>> Start(
      const ModelProcessOptions& options, const ModelProcessJob& job,
      std::function<void(absl::string_view line)> on_line);
  // Kills it.
  ~ModelProcess();

  const v1::ParameterLayout& layout() const { return layout_; }
  int64_t estimated_peak_bytes() const { return estimated_peak_bytes_; }
  int64_t measured_peak_bytes() const { return measured_peak_bytes_; }

  struct Answer {
    v1::ResultBegin result;
    FlatBuffer buffer;
  };
  // RESOURCE_EXHAUSTED names the limit that was reached. `parameters` is null for an
  // initialisation. After an error that killed the process it is not alive() any more.
  absl::StatusOr<Answer> Run(const v1::WorkItem& work, const FlatBuffer* parameters);
  bool alive() const { return pid_ > 0; }

 private:
  ModelProcess(uint64_t memory_bytes, absl::Duration time_limit)
      : memory_bytes_(memory_bytes), time_limit_(time_limit) {}
  absl::Status Spawn(const std::string& program, const ModelProcessJob& job,
                     std::function<void(absl::string_view line)> on_line);
  absl::StatusOr<Answer> Ask(const google::protobuf::MessageLite& message,
                             const FlatBuffer* parameters, int64_t most_floats,
                             int64_t& peak_bytes);
  // Ends the process after the connection failed with `why`; says what happened.
  absl::Status Bury(const absl::Status& why);

  const uint64_t memory_bytes_;
  const absl::Duration time_limit_;
  pid_t pid_ = -1;
  std::string last_line_;
  std::unique_ptr<ModelChannel> channel_;
  v1::ParameterLayout layout_;
  int64_t floats_ = 0;
  int64_t estimated_peak_bytes_ = -1;
  int64_t measured_peak_bytes_ = 0;
};

}  // namespace innerloop::worker
