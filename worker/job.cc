#include "worker/job.h"

#include <utility>

#include <spdlog/spdlog.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/support/status_macros.h"

namespace innerloop::worker {
namespace {

// e.g. "2 x 212.317 MiB".
std::string OfSlots(int slots, int64_t bytes) {
  return absl::StrFormat("%d x %.3f MiB", slots, static_cast<double>(bytes) / (1 << 20));
}

std::string Estimated(int slots, int64_t bytes) {
  return bytes < 0 ? "unknown" : OfSlots(slots, bytes);
}

}  // namespace

Job::Job(v1::JobDescription description, const ProgramFactory& factory, DataSetCache& data_sets,
         std::shared_ptr<const FileSource> source, int slots,
         const absl::flat_hash_set<std::string>& allowed_models)
    : description_(std::move(description)),
      factory_(factory),
      data_sets_(data_sets),
      source_(std::move(source)),
      slots_(slots),
      allowed_models_(allowed_models),
      here_(description_) {}

Job::~Job() {
  const absl::MutexLock lock(&mu_);
  if (program_ == nullptr || program_->MeasuredPeakBytes() == 0) {
    return;
  }
  spdlog::info("job {}: peak memory of its slots: measured {}, estimated {}", id(),
               OfSlots(slots_, program_->MeasuredPeakBytes()), Estimated(slots_, estimated_bytes_));
}

absl::Duration Job::patience() const {
  // The coordinator gives a shard up after shard_timeout; half of it again leaves it time to do so.
  const v1::JobLimits& limits = description_.spec().limits();
  return limits.shard_timeout_seconds() > 0 ? absl::Seconds(1.5 * limits.shard_timeout_seconds())
                                            : absl::InfiniteDuration();
}

absl::Status Job::CheckAllowed() const {
  const v1::ModelSpec& model = description_.spec().model();
  if (!model.has_torchscript() || allowed_models_.contains(model.torchscript().sha256())) {
    return absl::OkStatus();
  }
  return absl::PermissionDeniedError(
      absl::StrCat("it brings code of its author, a TorchScript model, which this worker does not "
                   "allow; if you trust it, start the worker with --allow-model ",
                   model.torchscript().sha256()));
}

absl::Status Job::LoadFiles(JobUse use) {
  INNERLOOP_RETURN_IF_ERROR(CheckAllowed());
  absl::MutexLock lock(&mu_);
  if (program_ != nullptr || (use == JobUse::kAdaptation && adapting_ != nullptr)) {
    return absl::OkStatus();
  }
  if (use == JobUse::kFull && data_set_ == nullptr && description_.has_data_set()) {
    INNERLOOP_ASSIGN_OR_RETURN(data_set_, data_sets_.Get(description_.data_set(), *source_));
  }
  if (here_.spec().model().has_torchscript()) {
    v1::TorchScriptModel& model = *here_.mutable_spec()->mutable_model()->mutable_torchscript();
    INNERLOOP_ASSIGN_OR_RETURN(*model.mutable_file(), data_sets_.GetModel(model, *source_));
  }
  return absl::OkStatus();
}

absl::StatusOr<const meta::Program*> Job::Program(JobUse use, uint64_t max_parameters) {
  absl::MutexLock lock(&mu_);
  std::unique_ptr<meta::Program>& program =
      use == JobUse::kFull || program_ != nullptr ? program_ : adapting_;
  if (program == nullptr) {
    const bool full = use == JobUse::kFull;
    INNERLOOP_ASSIGN_OR_RETURN(program,
                               factory_(here_, full ? data_set_ : nullptr, max_parameters));
    if (full) {
      EstimateMemory();
    }
  }
  const auto scalars = static_cast<uint64_t>(program->layout().scalars());
  if (scalars > max_parameters) {
    return absl::ResourceExhaustedError(absl::StrCat("the meta-parameters have ", scalars,
                                                     " scalars; at most ", max_parameters,
                                                     " are allowed"));
  }
  return program.get();
}

void Job::EstimateMemory() {
  const absl::StatusOr<int64_t> bytes = program_->EstimatePeakBytes();
  if (!bytes.ok()) {
    Notice(v1::LOG_SEVERITY_WARNING,
           absl::StrCat("its peak memory cannot be estimated: ", bytes.status().message()));
    return;
  }
  estimated_bytes_ = *bytes;
  Notice(v1::LOG_SEVERITY_INFO,
         absl::StrCat("peak memory of its slots: estimated ", Estimated(slots_, estimated_bytes_)));
}

void Job::Notice(v1::LogSeverity severity, const std::string& message) {
  spdlog::log(severity == v1::LOG_SEVERITY_WARNING ? spdlog::level::warn : spdlog::level::info,
              "job {}: {}", id(), message);
  v1::JobNotice& notice = notices_.emplace_back();
  notice.set_job_id(id());
  notice.set_severity(severity);
  notice.set_message(message);
}

std::vector<v1::JobNotice> Job::TakeNotices() {
  const absl::MutexLock lock(&mu_);
  if (program_ != nullptr) {
    for (std::string& line : program_->TakeNotices()) {
      v1::JobNotice& notice = notices_.emplace_back();
      notice.set_job_id(id());
      notice.set_severity(v1::LOG_SEVERITY_WARNING);
      notice.set_message(std::move(line));
    }
  }
  return std::exchange(notices_, {});
}

}  // namespace innerloop::worker
