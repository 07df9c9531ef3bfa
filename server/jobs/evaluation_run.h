// One evaluation of one version of parameters.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "innerloop/v1/training.pb.h"
#include "server/jobs/lane.h"

namespace innerloop::server {

// Cuts the episodes into parts of a fixed size, the same for any number of workers, and puts the
// parts' sums together in their order. Its wire id is "JOB@eval-N", its own. Made by a JobRunner
// for its schedule and by the Coordinator on request. Used under the coordinator's lock.
class EvaluationRun : public Lane {
 public:
  // `done` is called once, under the coordinator's lock.
  using Done = std::function<void(EvaluationRun&, absl::StatusOr<v1::Evaluation>)>;
  struct Setup {
    // job_id, iteration, protocol, periodic and final are filled in.
    v1::Evaluation evaluation;
    v1::JobSpec spec;
    // Absent for generated tasks.
    const v1::DataSetDescription* data_set = nullptr;
    Parameters parameters;
    std::string fingerprint;
    double weight = 1;
  };
  EvaluationRun(Setup setup, Done done);

  const v1::Evaluation& evaluation() const { return evaluation_; }
  // Ends it with an error, unless it has ended.
  void Abort(const absl::Status& status) { End(status); }

  const v1::JobDescription& description() const override { return description_; }
  const std::string& fingerprint() const override { return fingerprint_; }
  double weight() const override { return weight_; }
  const Parameters* parameters() const override { return &parameters_; }
  void FillItem(size_t part, v1::WorkItem& item) const override;
  uint64_t Tasks(size_t part) const override;
  std::string Name(size_t part) const override;
  void Describe(size_t part, v1::LogEntry& entry) const override;
  absl::Status Check(size_t part, const v1::ResultBegin& result) const override;
  void OnResult(size_t part, const v1::ResultBegin& result, const std::string& fingerprint,
                FlatBuffer buffer) override;
  void OnFailure(const absl::Status& status) override { End(status); }

 private:
  void End(absl::StatusOr<v1::Evaluation> result);

  v1::Evaluation evaluation_;
  v1::JobDescription description_;
  const Parameters parameters_;
  const std::string fingerprint_;
  const double weight_;
  std::vector<v1::EvaluationSums> parts_;
  Done done_;
};

}  // namespace innerloop::server
