#include "server/jobs/evaluation_run.h"

#include <atomic>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/job/job_spec.h"
#include "server/iteration/measures.h"

namespace innerloop::server {
namespace {

// All that a worker will do of the job: this evaluation.
v1::JobSpec OnlyEvaluated(v1::JobSpec spec, const v1::EvaluationProtocol& protocol) {
  spec.set_iterations(0);
  v1::EvaluationSchedule& schedule = *spec.mutable_evaluation();
  schedule.Clear();
  *schedule.mutable_final() = protocol;
  return spec;
}

// Its own for each run. A job's evaluations are apart from its training because they pin versions
// that training has long left behind, and from each other because a worker is described a wire id
// once: with the protocol of one run, whose error would then be that of all.
std::string NextWireId(const std::string& job_id) {
  static std::atomic<uint64_t> last{0};
  return absl::StrCat(job_id, "@eval-", ++last);
}

}  // namespace

EvaluationRun::EvaluationRun(Setup setup, Done done)
    : Lane(absl::Seconds(setup.spec.limits().shard_timeout_seconds())),
      evaluation_(std::move(setup.evaluation)),
      parameters_(std::move(setup.parameters)),
      fingerprint_(std::move(setup.fingerprint)),
      weight_(setup.weight),
      done_(std::move(done)) {
  description_.set_job_id(NextWireId(evaluation_.job_id()));
  *description_.mutable_spec() = OnlyEvaluated(std::move(setup.spec), evaluation_.protocol());
  if (setup.data_set != nullptr) {
    *description_.mutable_data_set() = *setup.data_set;
  }
  const uint64_t parts = PartCount(evaluation_.protocol().episodes(), kEpisodesPerPart);
  parts_.resize(parts);
  board().Reset(parts);
}

void EvaluationRun::FillItem(size_t part, v1::WorkItem& item) const {
  v1::EvaluationShard& shard = *item.mutable_evaluation();
  const TaskRange range = Part(evaluation_.protocol().episodes(), kEpisodesPerPart, part);
  shard.set_version(parameters_.version);
  *shard.mutable_protocol() = evaluation_.protocol();
  shard.set_first_episode(range.first);
  shard.set_last_episode(range.last);
}

uint64_t EvaluationRun::Tasks(size_t part) const {
  const TaskRange range = Part(evaluation_.protocol().episodes(), kEpisodesPerPart, part);
  return range.last - range.first;
}

std::string EvaluationRun::Name(size_t part) const {
  const TaskRange range = Part(evaluation_.protocol().episodes(), kEpisodesPerPart, part);
  return absl::StrCat("part ", part, " of the evaluation of version ", parameters_.version,
                      " (episodes ", range.first, "..", range.last - 1, ")");
}

void EvaluationRun::Describe(size_t /*part*/, v1::LogEntry& entry) const {
  entry.set_iteration(parameters_.version);
}

absl::Status EvaluationRun::Check(size_t part, const v1::ResultBegin& result) const {
  if (result.bytes() != 0) {
    return absl::InternalError(absl::StrCat("an evaluation's result has a buffer of ",
                                            result.bytes(), " bytes; none was asked for"));
  }
  const absl::Status sums = CheckSums(result.evaluation(), Tasks(part), evaluation_.protocol());
  return sums.ok() ? sums : absl::InternalError(sums.message());
}

void EvaluationRun::OnResult(size_t part, const v1::ResultBegin& result,
                             const std::string& /*fingerprint*/, FlatBuffer /*buffer*/) {
  parts_[part] = result.evaluation();
  if (!board().complete()) {
    return;
  }
  v1::Evaluation evaluation = evaluation_;
  FillSteps(parts_, evaluation);
  End(std::move(evaluation));
}

void EvaluationRun::End(absl::StatusOr<v1::Evaluation> result) {
  if (const Done done = std::exchange(done_, nullptr); done != nullptr) {
    done(*this, std::move(result));
  }
}

}  // namespace innerloop::server
