#include "worker/model_program.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "core/support/status_macros.h"

namespace innerloop::worker {
namespace {

// Of what a model prints, so many different lines are logged.
constexpr size_t kMostLines = 50;

absl::StatusOr<int> OpenFile(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  return file >= 0 ? absl::StatusOr<int>(file)
                   : absl::UnavailableError(absl::StrCat("cannot open ", path, " (error ", errno,
                                                         "); it may have made room for another"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<meta::Program>> ModelProgram::Create(
    const v1::JobDescription& description, const ModelFiles& files,
    std::shared_ptr<const Dataset> held, uint64_t max_parameters, ModelProcessOptions options) {
  ModelProcessJob job{.description = description, .max_parameters = max_parameters};
  if (const double seconds = description.spec().limits().shard_timeout_seconds(); seconds > 0) {
    job.time_limit = absl::Seconds(seconds);
  }
  auto program =
      absl::WrapUnique(new ModelProgram(std::move(job), std::move(held), std::move(options)));
  INNERLOOP_ASSIGN_OR_RETURN(program->job_.model, OpenFile(files.model));
  if (!files.data_set.empty()) {
    INNERLOOP_ASSIGN_OR_RETURN(program->job_.data_set, OpenFile(files.data_set));
  }
  INNERLOOP_ASSIGN_OR_RETURN(std::unique_ptr<ModelProcess> first, program->Start());
  INNERLOOP_ASSIGN_OR_RETURN(program->layout_, Layout::Create(first->layout(), max_parameters));
  program->estimated_peak_bytes_ = first->estimated_peak_bytes();
  absl::MutexLock lock(&program->mu_);
  program->idle_.push_back(std::move(first));
  return program;
}

ModelProgram::~ModelProgram() {
  for (const int file : {job_.model, job_.data_set}) {
    if (file >= 0) {
      close(file);
    }
  }
}

void ModelProgram::Log(absl::string_view line) const {
  absl::MutexLock lock(&mu_);
  if (logged_.size() < kMostLines && logged_.emplace(line).second) {
    spdlog::warn("the model's process says: {}", std::string(line));
    notices_.push_back(absl::StrCat("the model's process says: ", line));
  }
}

absl::StatusOr<std::unique_ptr<ModelProcess>> ModelProgram::Start() const {
  return ModelProcess::Start(options_, job_, [this](absl::string_view line) { Log(line); });
}

absl::StatusOr<ModelProcess::Answer> ModelProgram::Run(const v1::WorkItem& work,
                                                       const FlatBuffer* parameters) const {
  std::unique_ptr<ModelProcess> process;
  {
    absl::MutexLock lock(&mu_);
    if (!idle_.empty()) {
      process = std::move(idle_.back());
      idle_.pop_back();
    }
  }
  if (process == nullptr) {
    INNERLOOP_ASSIGN_OR_RETURN(process, Start());
  }
  absl::StatusOr<ModelProcess::Answer> answer = process->Run(work, parameters);
  absl::MutexLock lock(&mu_);
  if (process->alive()) {
    measured_peak_bytes_ = std::max(measured_peak_bytes_, process->measured_peak_bytes());
    idle_.push_back(std::move(process));
  }
  return answer;
}

absl::StatusOr<FlatBuffer> ModelProgram::Initialise() const {
  v1::WorkItem work;
  work.mutable_initialise();
  INNERLOOP_ASSIGN_OR_RETURN(ModelProcess::Answer answer, Run(work, nullptr));
  if (answer.buffer.size() != layout_.flat_size()) {
    return absl::InternalError("the model's process sent no parameters");
  }
  return std::move(answer.buffer);
}

absl::StatusOr<meta::ShardOutput> ModelProgram::RunShard(const FlatBuffer& parameters,
                                                         const v1::Shard& shard) const {
  v1::WorkItem work;
  *work.mutable_shard() = shard;
  INNERLOOP_ASSIGN_OR_RETURN(ModelProcess::Answer answer, Run(work, &parameters));
  if (answer.buffer.size() != layout_.flat_size()) {
    return absl::InternalError("the model's process sent no update");
  }
  return meta::ShardOutput{std::move(answer.buffer), std::move(*answer.result.mutable_metrics())};
}

absl::StatusOr<v1::EvaluationSums> ModelProgram::RunEvaluation(
    const FlatBuffer& parameters, const v1::EvaluationShard& shard) const {
  v1::WorkItem work;
  *work.mutable_evaluation() = shard;
  INNERLOOP_ASSIGN_OR_RETURN(ModelProcess::Answer answer, Run(work, &parameters));
  return std::move(*answer.result.mutable_evaluation());
}

absl::StatusOr<meta::AdaptationOutput> ModelProgram::Adapt(const FlatBuffer& parameters,
                                                           const v1::AdaptationTask& task) const {
  v1::WorkItem work;
  *work.mutable_adaptation() = task;
  INNERLOOP_ASSIGN_OR_RETURN(ModelProcess::Answer answer, Run(work, &parameters));
  const uint64_t bytes = answer.result.adaptation().file_bytes();
  if (bytes > answer.buffer.bytes().size()) {
    return absl::InternalError("the model's process sent less of a file than it announced");
  }
  return meta::AdaptationOutput{std::move(*answer.result.mutable_adaptation()),
                                std::string(answer.buffer.bytes().substr(0, bytes))};
}

absl::StatusOr<int64_t> ModelProgram::EstimatePeakBytes() const {
  return estimated_peak_bytes_ >= 0 ? absl::StatusOr<int64_t>(estimated_peak_bytes_)
                                    : absl::UnavailableError("the model's process could not tell");
}

std::vector<std::string> ModelProgram::TakeNotices() const {
  absl::MutexLock lock(&mu_);
  return std::exchange(notices_, {});
}

int64_t ModelProgram::MeasuredPeakBytes() const {
  absl::MutexLock lock(&mu_);
  return measured_peak_bytes_;
}

}  // namespace innerloop::worker
