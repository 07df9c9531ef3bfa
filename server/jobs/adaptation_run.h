// One adaptation to a user's own task, computed by a worker.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "innerloop/v1/adaptation.pb.h"
#include "innerloop/v1/work.pb.h"
#include "server/jobs/lane.h"

namespace innerloop::server {

// A checkpoint that adaptations use. Immutable.
struct PinnedCheckpoint {
  // "JOB@ITERATION".
  std::string reference;
  v1::ModelDescription model;
  // As workers see it; its job_id is of this checkpoint alone.
  v1::JobDescription description;
  Parameters parameters;
  double weight = 1;
};

// What a worker made of it.
struct Adapted {
  v1::AdaptationResult result;
  // result.file_bytes of it are the file.
  FlatBuffer file;
};

// A single work item. Any worker may compute it, whatever its fingerprint: it takes no part in the
// bits of a job. Used under the coordinator's lock.
class AdaptationRun : public Lane {
 public:
  // Called once, under the coordinator's lock.
  using Done = std::function<void(AdaptationRun&, absl::StatusOr<Adapted>)>;
  // `task` is checked; its version is filled in here.
  AdaptationRun(std::shared_ptr<const PinnedCheckpoint> checkpoint, v1::AdaptationTask task,
                Done done);

  // Ends it with an error, unless it has ended.
  void Abort(const absl::Status& status) { End(status); }

  const v1::JobDescription& description() const override { return checkpoint_->description; }
  const std::string& fingerprint() const override { return any_fingerprint_; }
  double weight() const override { return checkpoint_->weight; }
  const Parameters* parameters() const override { return &checkpoint_->parameters; }
  void FillItem(size_t /*shard*/, v1::WorkItem& item) const override {
    *item.mutable_adaptation() = task_;
  }
  uint64_t Tasks(size_t /*shard*/) const override { return 1; }
  std::string Name(size_t shard) const override;
  absl::Status Check(size_t shard, const v1::ResultBegin& result) const override;
  void OnResult(size_t shard, const v1::ResultBegin& result, const std::string& fingerprint,
                FlatBuffer buffer) override;
  void OnFailure(const absl::Status& status) override { End(status); }

 private:
  absl::Status CheckPredictions(const v1::Predictions& predictions) const;
  // Most bytes of a file that this task may give.
  uint64_t MostFileBytes() const;
  void End(absl::StatusOr<Adapted> result);

  const std::shared_ptr<const PinnedCheckpoint> checkpoint_;
  v1::AdaptationTask task_;
  const std::string any_fingerprint_;
  Done done_;
};

}  // namespace innerloop::server
