#include "core/meta/program.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/job/feature_statistics.h"
#include "core/job/job_spec.h"
#include "core/job/scheduled_evaluations.h"
#include "core/meta/adaptation/adapt.h"
#include "core/meta/algorithms/algorithm.h"
#include "core/meta/guarded.h"
#include "core/meta/memory_estimate.h"
#include "core/meta/memory_meter.h"
#include "core/meta/tasks/task_source.h"
#include "core/meta/tensors.h"
#include "core/support/status_macros.h"

namespace innerloop::meta {
namespace {

// The layout's tensors as views of a flat buffer that outlives them.
Tensors ViewsOf(const Layout& layout, float* flat) {
  Tensors views;
  views.reserve(layout.tensors().size());
  for (const TensorEntry& entry : layout.tensors()) {
    views.push_back(torch::from_blob(flat + entry.offset, entry.shape, torch::kFloat32));
  }
  return views;
}
// LibTorch knows no views of constant memory. No algorithm writes to theta.
Tensors ViewsOf(const Layout& layout, const float* flat) {
  return ViewsOf(layout, const_cast<float*>(flat));
}

TaskSizes SizesOf(const v1::EvaluationProtocol& protocol) {
  return {.ways = std::max<int64_t>(1, protocol.ways()),
          .shots = protocol.shots(),
          .queries = protocol.queries()};
}

// Adds a chunk's measures after one inner step, in episode order.
void AddMeasures(const Tensor& values, int64_t step, google::protobuf::RepeatedField<double>* sums,
                 google::protobuf::RepeatedField<double>* squares) {
  const auto at = static_cast<int>(step);
  const double* value = values.const_data_ptr<double>();
  for (int64_t t = 0; t < values.numel(); ++t) {
    sums->Set(at, sums->Get(at) + value[t]);
    squares->Set(at, squares->Get(at) + value[t] * value[t]);
  }
}

class JobProgram : public Program {
 public:
  // `source` is null for a program that only adapts.
  JobProgram(v1::JobSpec spec, std::unique_ptr<TaskSource> source, TaskShape shape,
             std::unique_ptr<Algorithm> algorithm, Layout layout)
      : spec_(std::move(spec)),
        source_(std::move(source)),
        shape_(std::move(shape)),
        algorithm_(std::move(algorithm)),
        layout_(std::move(layout)),
        sizes_(source_ == nullptr ? TaskSizes() : algorithm_->TrainingSizes(source_->sizes())) {
    if (source_ == nullptr || source_->statistics() == nullptr) {
      statistics_ = FeatureStatisticsOf(spec_.tasks().grouped());
    } else {
      statistics_ = *source_->statistics();
    }
  }

  // Whether the data suffices for training and for the evaluations that the job schedules, and the
  // model takes what comes of it.
  absl::Status CheckData() const {
    INNERLOOP_RETURN_IF_ERROR(CheckPadding());
    INNERLOOP_RETURN_IF_ERROR(source_->Check(v1::SPLIT_TRAIN, sizes_, "training"));
    return CheckEach(spec_.evaluation(),
                     [this](const v1::EvaluationProtocol& protocol, absl::string_view field) {
                       return CheckProtocol(protocol, field);
                     });
  }

  const Layout& layout() const override { return layout_; }
  absl::StatusOr<FlatBuffer> Initialise() const override;
  absl::StatusOr<ShardOutput> RunShard(const FlatBuffer& parameters,
                                       const v1::Shard& shard) const override;
  absl::StatusOr<v1::EvaluationSums> RunEvaluation(const FlatBuffer& parameters,
                                                   const v1::EvaluationShard& shard) const override;
  absl::StatusOr<AdaptationOutput> Adapt(const FlatBuffer& parameters,
                                         const v1::AdaptationTask& task) const override;
  absl::StatusOr<int64_t> EstimatePeakBytes() const override;
  int64_t MeasuredPeakBytes() const override { return measured_peak_; }

 private:
  absl::Status CheckPadding() const;
  absl::Status CheckProtocol(const v1::EvaluationProtocol& protocol, absl::string_view field) const;
  absl::Status CheckParameters(const FlatBuffer& parameters) const;
  absl::Status CheckSource() const;
  int64_t update_bytes() const { return layout_.flat_size() * int64_t{sizeof(float)}; }
  int64_t EstimateTraining() const;
  int64_t EstimateEvaluation() const;
  // Most tasks that are computed at once in training.
  int64_t LargestChunk() const;
  void RecordPeak(int64_t bytes) const;

  const v1::JobSpec spec_;
  const std::unique_ptr<TaskSource> source_;
  const TaskShape shape_;
  const std::unique_ptr<Algorithm> algorithm_;
  const Layout layout_;
  const TaskSizes sizes_;  // of training tasks
  FeatureStatistics statistics_;
  mutable std::atomic<int64_t> measured_peak_ = 0;
};

absl::Status JobProgram::CheckPadding() const {
  const bool pads = spec_.tasks().grouped().small_groups() == v1::GroupedTasks::SMALL_GROUPS_PAD;
  return pads && !algorithm_->model().TakesStatisticsRows()
             ? absl::InvalidArgumentError(
                   "tasks.grouped.small_groups is SMALL_GROUPS_PAD, whose empty places this "
                   "model.torchscript would count: its outputs for an example depend on the other "
                   "examples; take a module with layer or group norm, or SMALL_GROUPS_SKIP")
             : absl::OkStatus();
}

absl::Status JobProgram::CheckProtocol(const v1::EvaluationProtocol& protocol,
                                       absl::string_view field) const {
  if (protocol.split() != v1::SPLIT_TRAIN && protocol.split() != v1::SPLIT_VALIDATION &&
      protocol.split() != v1::SPLIT_TEST) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, ".split is missing: TRAIN, VALIDATION or TEST"));
  }
  if (protocol.inner_steps() > kMaxEvaluationSteps) {
    return absl::InvalidArgumentError(absl::StrCat(field, ".inner_steps is ",
                                                   protocol.inner_steps(), "; it must be 0 to ",
                                                   kMaxEvaluationSteps));
  }
  if (protocol.transduction() == v1::TRANSDUCTION_SUPPORT_STATISTICS &&
      !algorithm_->model().TakesStatisticsRows()) {
    return absl::InvalidArgumentError(absl::StrCat(
        field,
        ".transduction is TRANSDUCTION_SUPPORT_STATISTICS, which is not possible with this "
        "model.torchscript: its outputs for an example depend on the other examples, in a way that "
        "only the module knows; take TRANSDUCTION_ALL_QUERIES or TRANSDUCTION_SINGLE_QUERY"));
  }
  const TaskSizes sizes = SizesOf(protocol);
  if (sizes.ways != source_->sizes().ways && !algorithm_->AnyWays()) {
    return absl::InvalidArgumentError(absl::StrCat(field, ".ways is ", sizes.ways,
                                                   "; the job's model tells ",
                                                   source_->sizes().ways, " classes apart"));
  }
  return source_->Check(protocol.split(), sizes, field);
}

absl::Status JobProgram::CheckParameters(const FlatBuffer& parameters) const {
  if (parameters.size() != layout_.flat_size()) {
    return absl::InvalidArgumentError(absl::StrCat("parameters hold ", parameters.size(),
                                                   " values; the job's layout has ",
                                                   layout_.flat_size()));
  }
  return absl::OkStatus();
}

absl::Status JobProgram::CheckSource() const {
  return source_ != nullptr ? absl::OkStatus()
                            : absl::FailedPreconditionError(
                                  "the job's data set is not here; without it a job can "
                                  "adapt and predict, not train or be evaluated");
}

absl::StatusOr<FlatBuffer> JobProgram::Initialise() const {
  FlatBuffer flat;
  INNERLOOP_RETURN_IF_ERROR(Guarded("initialisation", [&] {
    flat = FlatBuffer(layout_.flat_size());
    const std::vector<MetaParameter>& parameters = algorithm_->meta_parameters();
    for (size_t i = 0; i < parameters.size(); ++i) {
      const TensorEntry& entry = layout_.tensors()[i];
      const Tensor values = DrawInitial(parameters[i].initialiser, entry.shape, spec_.seed(),
                                        static_cast<uint32_t>(i))
                                .contiguous();
      std::memcpy(flat.data() + entry.offset, values.const_data_ptr<float>(),
                  static_cast<size_t>(entry.size) * sizeof(float));
    }
  }));
  return flat;
}

absl::StatusOr<ShardOutput> JobProgram::RunShard(const FlatBuffer& parameters,
                                                 const v1::Shard& shard) const {
  INNERLOOP_RETURN_IF_ERROR(CheckSource());
  INNERLOOP_RETURN_IF_ERROR(CheckParameters(parameters));
  if (shard.first_task() >= shard.last_task() || shard.last_task() > spec_.meta_batch()) {
    return absl::InvalidArgumentError(
        absl::StrCat("shard has tasks ", shard.first_task(), " to ", shard.last_task(),
                     " (exclusive); the job's iterations have ", spec_.meta_batch(), " tasks"));
  }
  ShardOutput output;
  INNERLOOP_RETURN_IF_ERROR(Guarded(absl::StrCat("iteration ", shard.iteration()), [&] {
    std::optional<MemoryMeter> meter;
    if (shard.detailed()) {
      meter.emplace();
    }
    output.update = FlatBuffer(layout_.flat_size());
    const Tensors theta = ViewsOf(layout_, parameters.data());
    Tensors updates = ViewsOf(layout_, output.update.data());
    const TaskKey key{
        .seed = spec_.seed(), .split = v1::SPLIT_TRAIN, .iteration = shard.iteration()};
    TaskSums sums;
    uint64_t first = shard.first_task();
    while (first < shard.last_task()) {
      const uint64_t last = std::min<uint64_t>(first + spec_.tasks_per_chunk(), shard.last_task());
      const TaskBatch tasks = source_->Sample(key, first, last, sizes_);
      algorithm_->AddUpdates(theta, tasks, shard.detailed(), updates, sums);
      first = last;
    }
    if (meter.has_value()) {
      RecordPeak(meter->peak() + update_bytes());
    }
    v1::TaskMetrics& metrics = output.metrics;
    metrics.set_tasks(shard.last_task() - shard.first_task());
    metrics.set_meta_loss(sums.meta_loss);
    if (source_->shape().classification) {
      metrics.set_meta_accuracy(sums.meta_accuracy);
    }
    if (shard.detailed() && !std::isnan(sums.support_loss_before)) {
      metrics.set_support_loss_before(sums.support_loss_before);
      metrics.set_support_loss_after(sums.support_loss_after);
      metrics.set_query_loss_before(sums.query_loss_before);
    }
  }));
  return output;
}

absl::StatusOr<v1::EvaluationSums> JobProgram::RunEvaluation(
    const FlatBuffer& parameters, const v1::EvaluationShard& shard) const {
  INNERLOOP_RETURN_IF_ERROR(CheckSource());
  INNERLOOP_RETURN_IF_ERROR(CheckParameters(parameters));
  const v1::EvaluationProtocol& protocol = shard.protocol();
  INNERLOOP_RETURN_IF_ERROR(CheckProtocol(protocol, "evaluation"));
  if (shard.first_episode() >= shard.last_episode() || shard.last_episode() > protocol.episodes()) {
    return absl::InvalidArgumentError(
        absl::StrCat("evaluation shard has episodes ", shard.first_episode(), " to ",
                     shard.last_episode(), " (exclusive); its protocol has ", protocol.episodes()));
  }
  const int64_t steps = protocol.inner_steps();
  v1::EvaluationSums sums;
  sums.set_episodes(shard.last_episode() - shard.first_episode());
  const auto measures = static_cast<int>(steps + 1);
  sums.mutable_loss()->Resize(measures, 0);
  sums.mutable_loss_squares()->Resize(measures, 0);
  if (source_->shape().classification) {
    sums.mutable_accuracy()->Resize(measures, 0);
    sums.mutable_accuracy_squares()->Resize(measures, 0);
  }
  const EvaluationSink sink = [&](int64_t step, const Tensor& losses, const Tensor& accuracies) {
    AddMeasures(losses, step, sums.mutable_loss(), sums.mutable_loss_squares());
    if (accuracies.defined()) {
      AddMeasures(accuracies, step, sums.mutable_accuracy(), sums.mutable_accuracy_squares());
    }
  };
  INNERLOOP_RETURN_IF_ERROR(Guarded("evaluation", [&] {
    const MemoryMeter meter;
    const Tensors theta = ViewsOf(layout_, parameters.data());
    const TaskKey key{.seed = protocol.seed(), .split = protocol.split(), .iteration = 0};
    const uint64_t chunk = spec_.tasks_per_chunk();
    const EvaluationRule rule{.steps = steps,
                              .transduction = protocol.transduction(),
                              .line_search = protocol.line_search()};
    uint64_t first = shard.first_episode();
    while (first < shard.last_episode()) {
      // Chunks end at multiples of their size, wherever the shard begins.
      const uint64_t last = std::min((first / chunk + 1) * chunk, shard.last_episode());
      const TaskBatch tasks = source_->Sample(key, first, last, SizesOf(protocol));
      algorithm_->Evaluate(theta, tasks, rule, sink);
      first = last;
    }
    RecordPeak(meter.peak());
  }));
  return sums;
}

absl::StatusOr<AdaptationOutput> JobProgram::Adapt(const FlatBuffer& parameters,
                                                   const v1::AdaptationTask& task) const {
  INNERLOOP_RETURN_IF_ERROR(CheckParameters(parameters));
  if (spec_.tasks().grouped().standardise() && statistics_.means.empty()) {
    return absl::FailedPreconditionError(
        "the job standardises features, and its checkpoint does not tell their means and scales: "
        "it is older than this program, or its examples have too many numbers");
  }
  const TaskForm form{.shape = shape_, .statistics = &statistics_};
  absl::StatusOr<AdaptationOutput> output;
  INNERLOOP_RETURN_IF_ERROR(Guarded("adaptation", [&] {
    output = AdaptToTask(spec_, form, *algorithm_, ViewsOf(layout_, parameters.data()), task);
  }));
  return output;
}

int64_t JobProgram::LargestChunk() const {
  const int64_t tasks = spec_.meta_batch();
  const int64_t per_shard = std::max<int64_t>(1, spec_.tasks_per_shard());
  const int64_t shards = (tasks + per_shard - 1) / per_shard;
  return std::min<int64_t>(spec_.tasks_per_chunk(), (tasks + shards - 1) / shards);
}

void JobProgram::RecordPeak(int64_t bytes) const {
  int64_t before = measured_peak_;
  while (before < bytes && !measured_peak_.compare_exchange_weak(before, bytes)) {
  }
}

absl::StatusOr<int64_t> JobProgram::EstimatePeakBytes() const {
  INNERLOOP_RETURN_IF_ERROR(CheckSource());
  int64_t peak = 0;
  INNERLOOP_RETURN_IF_ERROR(Guarded("memory estimate", [&] {
    peak = spec_.iterations() > 0 ? EstimateTraining() : EstimateEvaluation();
  }));
  return peak;
}

int64_t JobProgram::EstimateTraining() const {
  const FlatBuffer parameters(layout_.flat_size());
  FlatBuffer update(layout_.flat_size());
  const Tensors theta = ViewsOf(layout_, parameters.data());
  Tensors updates = ViewsOf(layout_, update.data());
  TaskSums sums;
  const TaskKey key{.seed = spec_.seed(), .split = v1::SPLIT_TRAIN, .iteration = 0};
  return update_bytes() + EstimatePeak(LargestChunk(), [&](int64_t count) {
           algorithm_->AddUpdates(theta, source_->Sample(key, 0, count, sizes_),
                                  /*detailed=*/false, updates, sums);
         });
}

int64_t JobProgram::EstimateEvaluation() const {
  const v1::EvaluationProtocol& protocol = spec_.evaluation().final();
  FlatBuffer parameters(layout_.flat_size());
  if (protocol.line_search() > 0) {
    // From NaN all steps are halved, which takes memory.
    std::fill_n(parameters.data(), parameters.size(), std::numeric_limits<float>::quiet_NaN());
  }
  const Tensors theta = ViewsOf(layout_, std::as_const(parameters).data());
  const TaskKey key{.seed = protocol.seed(), .split = protocol.split(), .iteration = 0};
  // Later steps hold no more than the second.
  const EvaluationRule rule{.steps = std::min<int64_t>(protocol.inner_steps(), 2),
                            .transduction = protocol.transduction(),
                            .line_search = protocol.line_search()};
  const TaskRange part = Part(protocol.episodes(), kEpisodesPerPart, 0);
  const int64_t tasks = std::min<int64_t>(spec_.tasks_per_chunk(), part.last - part.first);
  const auto ignore = [](int64_t, const Tensor&, const Tensor&) {};
  return EstimatePeak(tasks, [&](int64_t count) {
    algorithm_->Evaluate(theta, source_->Sample(key, 0, count, SizesOf(protocol)), rule, ignore);
  });
}

// The program of a source, or of a shape without one.
absl::StatusOr<std::unique_ptr<JobProgram>> Make(const v1::JobSpec& resolved,
                                                 std::unique_ptr<TaskSource> source,
                                                 const TaskShape& shape, uint64_t max_parameters) {
  INNERLOOP_ASSIGN_OR_RETURN(std::unique_ptr<Algorithm> algorithm,
                             CreateAlgorithm(resolved, shape));
  v1::ParameterLayout proto;
  for (const MetaParameter& parameter : algorithm->meta_parameters()) {
    *proto.add_tensors() = parameter.spec;
  }
  INNERLOOP_ASSIGN_OR_RETURN(Layout layout, Layout::Create(proto, max_parameters));
  return std::make_unique<JobProgram>(resolved, std::move(source), shape, std::move(algorithm),
                                      std::move(layout));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Program>> Program::Create(const v1::JobSpec& resolved,
                                                         std::shared_ptr<const Dataset> dataset,
                                                         uint64_t max_parameters) {
  if (resolved.meta_batch() == 0 || resolved.tasks_per_chunk() == 0) {
    return absl::InvalidArgumentError(
        "meta_batch and tasks_per_chunk must be above 0 (is the job resolved?)");
  }
  std::unique_ptr<Program> program;
  absl::Status status;
  INNERLOOP_RETURN_IF_ERROR(Guarded("job", [&] {
    status = [&]() -> absl::Status {
      INNERLOOP_ASSIGN_OR_RETURN(std::unique_ptr<TaskSource> source,
                                 CreateTaskSource(resolved.tasks(), std::move(dataset)));
      const TaskShape shape = source->shape();
      INNERLOOP_ASSIGN_OR_RETURN(std::unique_ptr<JobProgram> job,
                                 Make(resolved, std::move(source), shape, max_parameters));
      INNERLOOP_RETURN_IF_ERROR(job->CheckData());
      program = std::move(job);
      return absl::OkStatus();
    }();
  }));
  INNERLOOP_RETURN_IF_ERROR(status);
  return program;
}

absl::StatusOr<std::unique_ptr<Program>> Program::CreateWithoutData(
    const v1::JobSpec& resolved, const v1::DataSetDescription* data_set, uint64_t max_parameters) {
  INNERLOOP_ASSIGN_OR_RETURN(const TaskShape shape, ShapeOfTasks(resolved, data_set));
  absl::StatusOr<std::unique_ptr<Program>> program;
  INNERLOOP_RETURN_IF_ERROR(
      Guarded("job", [&] { program = Make(resolved, /*source=*/nullptr, shape, max_parameters); }));
  return program;
}

}  // namespace innerloop::meta
