#include "worker/job.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/support/status_macros.h"

namespace innerloop::worker {

Job::Job(v1::JobDescription description, const ProgramFactory& factory, DataSetCache& data_sets,
         std::shared_ptr<v1::Work::StubInterface> stub)
    : description_(std::move(description)),
      factory_(factory),
      data_sets_(data_sets),
      stub_(std::move(stub)) {}

absl::Duration Job::patience() const {
  // The coordinator gives a shard up after shard_timeout; half of it again leaves it time to do so.
  const v1::JobLimits& limits = description_.spec().limits();
  return limits.shard_timeout_seconds() > 0 ? absl::Seconds(1.5 * limits.shard_timeout_seconds())
                                            : absl::InfiniteDuration();
}

absl::Status Job::LoadDataSet() {
  absl::MutexLock lock(&mu_);
  if (data_set_ == nullptr && description_.has_data_set()) {
    INNERLOOP_ASSIGN_OR_RETURN(data_set_, data_sets_.Get(description_.data_set(), *stub_));
  }
  return absl::OkStatus();
}

absl::StatusOr<const meta::Program*> Job::Program(uint64_t max_parameters) {
  absl::MutexLock lock(&mu_);
  if (program_ == nullptr) {
    INNERLOOP_ASSIGN_OR_RETURN(program_, factory_(description_.spec(), data_set_, max_parameters));
  }
  const auto scalars = static_cast<uint64_t>(program_->layout().scalars());
  if (scalars > max_parameters) {
    return absl::ResourceExhaustedError(absl::StrCat("the meta-parameters have ", scalars,
                                                     " scalars; at most ", max_parameters,
                                                     " are allowed"));
  }
  return program_.get();
}

}  // namespace innerloop::worker
