// A job as one worker computes it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/dataset/dataset.h"
#include "core/meta/program.h"
#include "innerloop/v1/work.pb.h"
#include "worker/data_set_cache.h"
#include "worker/data_set_fetch.h"

namespace innerloop::worker {

// meta::Program::Create, or CreateWithoutData where a job with a data set comes without it; tests
// put other programs in.
using ProgramFactory = std::function<absl::StatusOr<std::unique_ptr<meta::Program>>(
    const v1::JobDescription& job, std::shared_ptr<const Dataset> data_set,
    uint64_t max_parameters)>;

// What a job's work may need.
enum class JobUse {
  kFull,
  kAdaptation,  // does without the data set
};

// Made by Session from a JobDescription; shared with the slots that compute its work. Thread-safe.
class Job {
 public:
  // `source` is where the data set comes from; factory and cache outlive the job. `slots` compute
  // it at most at a time. Of users' models those with the hashes in `allowed_models` may run.
  Job(v1::JobDescription description, const ProgramFactory& factory, DataSetCache& data_sets,
      std::shared_ptr<const FileSource> source, int slots,
      const absl::flat_hash_set<std::string>& allowed_models);
  // Logs how much memory the job took.
  ~Job();

  const std::string& id() const { return description_.job_id(); }
  // How long one work item may compute before its slot counts as hanging.
  absl::Duration patience() const;
  // The first slot that asks fetches and opens the job's data set and the user's model, others wait
  // meanwhile. A failure is not kept: the next one tries again. RESOURCE_EXHAUSTED when this
  // machine's disk is full; PERMISSION_DENIED when this worker does not allow the model.
  absl::Status LoadFiles(JobUse use) ABSL_LOCKS_EXCLUDED(mu_);
  // The job's program, made by the first slot that asks once the data set is there, which logs how
  // much memory it will take.
  // RESOURCE_EXHAUSTED when it has more than `max_parameters` scalars.
  absl::StatusOr<const meta::Program*> Program(JobUse use, uint64_t max_parameters)
      ABSL_LOCKS_EXCLUDED(mu_);

  // What the job's people should know of it on this worker; each is told once.
  std::vector<v1::JobNotice> TakeNotices() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  absl::Status CheckAllowed() const;
  void Notice(v1::LogSeverity severity, const std::string& message)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void EstimateMemory() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const v1::JobDescription description_;
  const ProgramFactory& factory_;
  DataSetCache& data_sets_;
  const std::shared_ptr<const FileSource> source_;
  const int slots_;
  const absl::flat_hash_set<std::string>& allowed_models_;

  absl::Mutex mu_;
  // The description, with the model's file where it lies here.
  v1::JobDescription here_ ABSL_GUARDED_BY(mu_);
  std::shared_ptr<const Dataset> data_set_ ABSL_GUARDED_BY(mu_);
  std::unique_ptr<meta::Program> program_ ABSL_GUARDED_BY(mu_);
  // For adaptations that come while there is no `program_`.
  std::unique_ptr<meta::Program> adapting_ ABSL_GUARDED_BY(mu_);
  // Of one slot; -1 when it could not be told.
  int64_t estimated_bytes_ ABSL_GUARDED_BY(mu_) = -1;
  std::vector<v1::JobNotice> notices_ ABSL_GUARDED_BY(mu_);
};

}  // namespace innerloop::worker
