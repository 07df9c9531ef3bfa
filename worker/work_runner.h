// Computing one work item.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/tensor/parameter_set.h"
#include "innerloop/v1/work.pb.h"
#include "worker/job.h"
#include "worker/slot_pool.h"

namespace innerloop::worker {

// What became of a work item.
struct WorkOutcome {
  enum class Kind {
    kDone,
    kFailed,    // `status` says why
    kDeclined,  // this worker cannot hold the job; `status` says why
  };
  Kind kind = Kind::kDone;
  absl::Status status;
  // Everything but the buffer's size and transfer number.
  v1::ResultBegin result;
  FlatBuffer buffer;
  absl::Duration computing;
};

// Most scalars of a job's meta-parameters, where `memory` bytes are for all parameters: several
// versions, the update and the graph of an inner loop come on top of one copy.
uint64_t MaxParameters(uint64_t memory);

// Has the program compute the item, into outcome.result and outcome.buffer. `parameters` as below.
absl::Status Compute(const meta::Program& program, const v1::WorkItem& work,
                     const FlatBuffer* parameters, WorkOutcome& outcome);

// Runs in a slot's thread. `parameters` is null for an initialisation.
WorkOutcome RunWork(const v1::WorkItem& work, Job& job, const FlatBuffer* parameters,
                    uint64_t max_parameters, Slot& slot);

}  // namespace innerloop::worker
