// The meta-learning core as its callers see it: a job, ready to compute work items. Does not
// include LibTorch.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/dataset/dataset.h"
#include "core/tensor/parameter_set.h"
#include "innerloop/v1/job.pb.h"
#include "innerloop/v1/work.pb.h"

namespace innerloop::meta {

struct ShardOutput {
  FlatBuffer update;  // sum over the shard's tasks
  v1::TaskMetrics metrics;
};

struct AdaptationOutput {
  v1::AdaptationResult result;
  std::string file;  // of the task's format; empty without
};

// A resolved job bound to its data. Made once per job and worker; its functions may be called from
// several compute threads at once. Exceptions of LibTorch end here as statuses: RESOURCE_EXHAUSTED
// for memory, INTERNAL for the rest.
class Program {
 public:
  // `dataset` is null for generated tasks. RESOURCE_EXHAUSTED when the meta-parameters hold more
  // than `max_parameters` scalars, found before memory is taken; INVALID_ARGUMENT names the field
  // of the spec.
  static absl::StatusOr<std::unique_ptr<Program>> Create(const v1::JobSpec& resolved,
                                                         std::shared_ptr<const Dataset> dataset,
                                                         uint64_t max_parameters = UINT64_MAX);
  // A program that only adapts, for which a checkpoint's spec and description of its data set (null
  // for generated tasks) are enough: RunShard, RunEvaluation and EstimatePeakBytes refuse with
  // FAILED_PRECONDITION. Statuses as of Create.
  static absl::StatusOr<std::unique_ptr<Program>> CreateWithoutData(
      const v1::JobSpec& resolved, const v1::DataSetDescription* data_set,
      uint64_t max_parameters = UINT64_MAX);
  virtual ~Program() = default;
  virtual const Layout& layout() const = 0;
  // The first parameters: a function of the spec alone.
  virtual absl::StatusOr<FlatBuffer> Initialise() const = 0;
  // `parameters` has layout().flat_size() values.
  virtual absl::StatusOr<ShardOutput> RunShard(const FlatBuffer& parameters,
                                               const v1::Shard& shard) const = 0;
  virtual absl::StatusOr<v1::EvaluationSums> RunEvaluation(
      const FlatBuffer& parameters, const v1::EvaluationShard& shard) const = 0;

  // Adapts to a user's own task, predicts its queries and makes its file. INVALID_ARGUMENT for a
  // task that does not fit the model, naming what differs; FAILED_PRECONDITION when adaptation
  // diverged, or when the job standardises features and neither spec nor data set tell how.
  virtual absl::StatusOr<AdaptationOutput> Adapt(const FlatBuffer& parameters,
                                                 const v1::AdaptationTask& task) const = 0;

  // About how many bytes one compute thread will hold at most, besides the parameters, while it
  // runs the job's shards, or of a job of 0 iterations its final evaluation. Takes the time of a
  // few tasks and their memory.
  virtual absl::StatusOr<int64_t> EstimatePeakBytes() const = 0;
  // The most that one held so far, measured at detailed shards and at evaluations; 0 before.
  virtual int64_t MeasuredPeakBytes() const = 0;
  // What the job's people should know of how it is computed, a line each; each is told once.
  virtual std::vector<std::string> TakeNotices() const { return {}; }
};

// To be called once in each compute thread before it runs a Program: one intra-op thread,
// deterministic settings, denormals flushed.
void PrepareComputeThread();

// What this process's results depend on besides the job.
v1::NumericsFingerprint Fingerprint();
// e.g. "2.11.0".
std::string LibTorchVersion();

}  // namespace innerloop::meta
