// A job with a user's model, as its worker sees it: computed by processes of its own.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/synchronization/mutex.h"
#include "core/meta/program.h"
#include "worker/model_process.h"

namespace innerloop::worker {

// Where a job's files lie; `data_set` is empty for generated tasks and where it is not needed.
struct ModelFiles {
  std::string model;
  std::string data_set;
};

// Passes each call on to a process that is free, or starts one: as many as slots compute the job at
// a time. One that dies is replaced at the next call. Thread-safe.
class ModelProgram final : public meta::Program {
 public:
  // Statuses as of ModelProcess::Start. `held` stays open while the program lives.
  static absl::StatusOr<std::unique_ptr<meta::Program>> Create(const v1::JobDescription& job,
                                                               const ModelFiles& files,
                                                               std::shared_ptr<const Dataset> held,
                                                               uint64_t max_parameters,
                                                               ModelProcessOptions options);
  ~ModelProgram() override;

  const Layout& layout() const override { return layout_; }
  absl::StatusOr<FlatBuffer> Initialise() const override;
  absl::StatusOr<meta::ShardOutput> RunShard(const FlatBuffer& parameters,
                                             const v1::Shard& shard) const override;
  absl::StatusOr<v1::EvaluationSums> RunEvaluation(const FlatBuffer& parameters,
                                                   const v1::EvaluationShard& shard) const override;
  absl::StatusOr<meta::AdaptationOutput> Adapt(const FlatBuffer& parameters,
                                               const v1::AdaptationTask& task) const override;
  absl::StatusOr<int64_t> EstimatePeakBytes() const override;
  int64_t MeasuredPeakBytes() const override ABSL_LOCKS_EXCLUDED(mu_);
  // What its processes print.
  std::vector<std::string> TakeNotices() const override ABSL_LOCKS_EXCLUDED(mu_);

 private:
  ModelProgram(ModelProcessJob job, std::shared_ptr<const Dataset> held,
               ModelProcessOptions options)
      : job_(std::move(job)), held_(std::move(held)), options_(std::move(options)) {}
  absl::StatusOr<std::unique_ptr<ModelProcess>> Start() const;
  absl::StatusOr<ModelProcess::Answer> Run(const v1::WorkItem& work,
                                           const FlatBuffer* parameters) const
      ABSL_LOCKS_EXCLUDED(mu_);
  void Log(absl::string_view line) const ABSL_LOCKS_EXCLUDED(mu_);

  ModelProcessJob job_;
  const std::shared_ptr<const Dataset> held_;
  const ModelProcessOptions options_;
  Layout layout_;
  int64_t estimated_peak_bytes_ = -1;

  mutable absl::Mutex mu_;
  mutable std::vector<std::unique_ptr<ModelProcess>> idle_ ABSL_GUARDED_BY(mu_);
  mutable int64_t measured_peak_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  mutable absl::flat_hash_set<std::string> logged_ ABSL_GUARDED_BY(mu_);
  mutable std::vector<std::string> notices_ ABSL_GUARDED_BY(mu_);
};

}  // namespace innerloop::worker
