// Evaluations, checkpoints, limits.
#include "core/job/checks.h"
#include "core/job/resolve_parts.h"
#include "core/job/scheduled_evaluations.h"
#include "core/job/task_view.h"
#include "core/support/status_macros.h"

namespace innerloop {
namespace {

using job::InRange;
using job::Positive;

constexpr uint32_t kMaxEpisodes = 10'000'000;
constexpr uint32_t kDefaultSteps = 10;
constexpr uint32_t kPeriodicEpisodes = 600;
constexpr uint32_t kFinalEpisodes = 1000;

}  // namespace

absl::StatusOr<v1::EvaluationProtocol> ResolveProtocol(const v1::JobSpec& resolved,
                                                       const v1::EvaluationProtocol& protocol,
                                                       v1::Split default_split,
                                                       uint32_t default_episodes,
                                                       absl::string_view field) {
  v1::EvaluationProtocol result = protocol;
  const auto name = [field](absl::string_view last) { return absl::StrCat(field, ".", last); };
  v1::Split split = result.split();
  INNERLOOP_RETURN_IF_ERROR(job::OrDefault(name("split"), split, default_split, v1::Split_IsValid));
  result.set_split(split);
  if (result.episodes() == 0) {
    result.set_episodes(default_episodes);
  }
  const bool metric = job::IsMetric(resolved.algorithm());
  if (!result.has_inner_steps()) {
    result.set_inner_steps(metric ? 0 : kDefaultSteps);
  }
  if (metric && result.inner_steps() > 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(name("inner_steps"), " is ", result.inner_steps(),
                     "; metric methods take none: they compare embeddings and adapt nothing"));
  }
  v1::Transduction transduction = result.transduction();
  INNERLOOP_RETURN_IF_ERROR(
      job::OrDefault(name("transduction"), transduction,
                     metric ? v1::TRANSDUCTION_SUPPORT_STATISTICS : v1::TRANSDUCTION_ALL_QUERIES,
                     v1::Transduction_IsValid));
  result.set_transduction(transduction);
  INNERLOOP_RETURN_IF_ERROR(InRange(name("episodes"), result.episodes(), 1U, kMaxEpisodes));
  INNERLOOP_RETURN_IF_ERROR(
      InRange(name("inner_steps"), result.inner_steps(), 0U, kMaxEvaluationSteps));

  result.set_line_search(result.line_search());
  INNERLOOP_RETURN_IF_ERROR(InRange(name("line_search"), result.line_search(), 0U, 30U));
  if (result.line_search() > 0 && resolved.algorithm().has_lstm_meta_learner()) {
    return absl::InvalidArgumentError(
        absl::StrCat(name("line_search"), " is ", result.line_search(),
                     "; lstm_meta_learner has none: its LSTM decides how far a step goes"));
  }
  if (metric && result.line_search() > 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        name("line_search"), " is ", result.line_search(), "; metric methods take no steps"));
  }
  const TaskCounts tasks = CountsOf(resolved.tasks());
  const bool ways = resolved.tasks().has_episodes();
  if (result.ways() == 0) {
    result.set_ways(tasks.ways);
  }
  if (!ways && result.ways() > 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(name("ways"), " is ", result.ways(), "; only episodes have ways"));
  }
  if (ways && !metric && result.ways() != tasks.ways) {
    return absl::InvalidArgumentError(absl::StrCat(name("ways"), " is ", result.ways(),
                                                   "; the model has ", tasks.ways, " outputs"));
  }
  if (ways) {
    INNERLOOP_RETURN_IF_ERROR(InRange(name("ways"), result.ways(), 2U, 100'000U));
  }
  result.set_shots(result.shots() == 0 ? tasks.shots : result.shots());
  result.set_queries(result.queries() == 0 ? tasks.queries : result.queries());
  INNERLOOP_RETURN_IF_ERROR(InRange(name("shots"), result.shots(), 1U, 100'000U));
  INNERLOOP_RETURN_IF_ERROR(InRange(name("queries"), result.queries(), 1U, 100'000U));
  if (result.shots() * uint64_t{result.ways()} == 1 && job::UsesBatchStatistics(resolved.model())) {
    return job::OneExample(protocol.shots() == 0 ? absl::StrCat(FieldOf(resolved.tasks()), ".shots")
                                                 : name("shots"));
  }
  return result;
}

bool MayMixExamples(const v1::ModelSpec& model) {
  return job::UsesBatchStatistics(model) || model.has_torchscript();
}

namespace job {

bool UsesBatchStatistics(const v1::ModelSpec& model) {
  return (model.has_mlp() && model.mlp().batch_norm()) ||
         (model.has_conv4() && model.conv4().norm() == v1::Conv4Model::NORM_BATCH);
}

absl::Status OneExample(absl::string_view shots) {
  return absl::InvalidArgumentError(
      absl::StrCat(shots, " is 1 in a task of one class: batch norm needs two examples"));
}

namespace {

absl::Status ResolvePeriodic(const v1::JobSpec& spec, v1::EvaluationProtocol& periodic) {
  INNERLOOP_ASSIGN_OR_RETURN(periodic, ResolveProtocol(spec, periodic, v1::SPLIT_VALIDATION,
                                                       kPeriodicEpisodes, "evaluation.periodic"));
  return periodic.split() == v1::SPLIT_TEST
             ? absl::InvalidArgumentError(
                   "evaluation.periodic.split is SPLIT_TEST; periodic evaluations choose the best "
                   "checkpoint, and what is chosen by the test split cannot be reported on it: "
                   "SPLIT_VALIDATION is right")
             : absl::OkStatus();
}

}  // namespace

absl::Status ResolveSchedules(v1::JobSpec& spec) {
  v1::EvaluationSchedule& evaluation = *spec.mutable_evaluation();
  if (evaluation.every() > 0) {  // else it is not used
    INNERLOOP_RETURN_IF_ERROR(ResolvePeriodic(spec, *evaluation.mutable_periodic()));
  }
  INNERLOOP_ASSIGN_OR_RETURN(*evaluation.mutable_final(),
                             ResolveProtocol(spec, evaluation.final(), v1::SPLIT_TEST,
                                             kFinalEpisodes, "evaluation.final"));

  v1::CheckpointSchedule& checkpoint = *spec.mutable_checkpoint();
  checkpoint.set_every_seconds(checkpoint.has_every_seconds() ? checkpoint.every_seconds() : 30);
  INNERLOOP_RETURN_IF_ERROR(Positive("checkpoint.every_seconds", checkpoint.every_seconds()));
  checkpoint.set_keep(checkpoint.keep() == 0 ? 2 : checkpoint.keep());
  INNERLOOP_RETURN_IF_ERROR(InRange("checkpoint.keep", checkpoint.keep(), 1U, 1000U));

  v1::JobLimits& limits = *spec.mutable_limits();
  limits.set_shard_timeout_seconds(
      limits.has_shard_timeout_seconds() ? limits.shard_timeout_seconds() : 600);
  INNERLOOP_RETURN_IF_ERROR(
      Positive("limits.shard_timeout_seconds", limits.shard_timeout_seconds()));
  INNERLOOP_RETURN_IF_ERROR(NotNegative("limits.max_seconds", limits.max_seconds()));

  v1::NonFinitePolicy& non_finite = *spec.mutable_non_finite();
  auto action = non_finite.action();
  INNERLOOP_RETURN_IF_ERROR(OrDefault("non_finite.action", action, v1::NonFinitePolicy::ACTION_FAIL,
                                      v1::NonFinitePolicy::Action_IsValid));
  non_finite.set_action(action);
  if (non_finite.max_consecutive() == 0) {
    non_finite.set_max_consecutive(10);
  }
  return absl::OkStatus();
}

}  // namespace job
}  // namespace innerloop
