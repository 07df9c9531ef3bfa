// A job as one worker computes it.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/dataset/dataset.h"
#include "core/meta/program.h"
#include "innerloop/v1/work.grpc.pb.h"
#include "innerloop/v1/work.pb.h"
#include "worker/data_set_cache.h"

namespace innerloop::worker {

// meta::Program::Create; tests put other programs in.
using ProgramFactory = std::function<absl::StatusOr<std::unique_ptr<meta::Program>>(
    const v1::JobSpec& resolved, std::shared_ptr<const Dataset> data_set, uint64_t max_parameters)>;

// Made by Session from a JobDescription; shared with the slots that compute its work. Thread-safe.
class Job {
 public:
  // `stub` is where the data set comes from; factory and cache outlive the job.
  Job(v1::JobDescription description, const ProgramFactory& factory, DataSetCache& data_sets,
      std::shared_ptr<v1::Work::StubInterface> stub);

  const std::string& id() const { return description_.job_id(); }
  // How long one work item may compute before its slot counts as hanging.
  absl::Duration patience() const;
  // The first slot that asks fetches and opens the job's data set, others wait meanwhile. A failure
  // is not kept: the next one tries again. RESOURCE_EXHAUSTED when this machine's disk is full.
  absl::Status LoadDataSet() ABSL_LOCKS_EXCLUDED(mu_);
  // The job's program, made by the first slot that asks once the data set is there.
  // RESOURCE_EXHAUSTED when it has more than `max_parameters` scalars.
  absl::StatusOr<const meta::Program*> Program(uint64_t max_parameters) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  const v1::JobDescription description_;
  const ProgramFactory& factory_;
  DataSetCache& data_sets_;
  const std::shared_ptr<v1::Work::StubInterface> stub_;

  absl::Mutex mu_;
  std::shared_ptr<const Dataset> data_set_ ABSL_GUARDED_BY(mu_);
  std::unique_ptr<meta::Program> program_ ABSL_GUARDED_BY(mu_);
};

}  // namespace innerloop::worker
