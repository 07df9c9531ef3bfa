#include "server/iteration/measures.h"

#include <cmath>

#include "absl/strings/str_cat.h"

namespace innerloop::server {
namespace {

struct Estimate {
  double mean = 0;
  double ci95 = 0;
};

Estimate EstimateOf(double sum, double squares, uint64_t count) {
  const auto n = static_cast<double>(count);
  Estimate result;
  result.mean = sum / n;
  if (count > 1) {
    const double variance = (squares - sum * result.mean) / (n - 1);
    // Rounding may take it below 0; a NaN stays one.
    result.ci95 = variance < 0 ? 0 : 1.96 * std::sqrt(variance / n);
  }
  return result;
}

}  // namespace

void FillMeans(const std::vector<v1::TaskMetrics>& parts, v1::IterationRecord& record) {
  double tasks = 0;
  double meta_loss = 0;
  double meta_accuracy = 0;
  double support_before = 0;
  double support_after = 0;
  double query_before = 0;
  bool has_accuracy = true;
  bool detailed = true;
  for (const v1::TaskMetrics& part : parts) {
    tasks += static_cast<double>(part.tasks());
    meta_loss += part.meta_loss();
    meta_accuracy += part.meta_accuracy();
    support_before += part.support_loss_before();
    support_after += part.support_loss_after();
    query_before += part.query_loss_before();
    has_accuracy = has_accuracy && part.has_meta_accuracy();
    detailed = detailed && part.has_support_loss_before() && part.has_support_loss_after() &&
               part.has_query_loss_before();
  }
  record.set_meta_loss(meta_loss / tasks);
  if (has_accuracy) {
    record.set_meta_accuracy(meta_accuracy / tasks);
  }
  if (detailed) {
    record.set_support_loss_before(support_before / tasks);
    record.set_support_loss_after(support_after / tasks);
    record.set_query_loss_before(query_before / tasks);
  }
}

absl::Status CheckSums(const v1::EvaluationSums& sums, uint64_t episodes,
                       const v1::EvaluationProtocol& protocol) {
  if (sums.episodes() != episodes) {
    return absl::InvalidArgumentError(absl::StrCat("an evaluation's sums are over ",
                                                   sums.episodes(), " episodes; ", episodes,
                                                   " were asked for"));
  }
  const int steps = static_cast<int>(protocol.inner_steps()) + 1;
  const int accuracies = sums.accuracy_size();
  if (sums.loss_size() != steps || sums.loss_squares_size() != steps ||
      sums.accuracy_squares_size() != accuracies || (accuracies != 0 && accuracies != steps)) {
    return absl::InvalidArgumentError(absl::StrCat("an evaluation's sums have ", sums.loss_size(),
                                                   " losses and ", accuracies, " accuracies; ",
                                                   steps, " were asked for"));
  }
  return absl::OkStatus();
}

void FillSteps(const std::vector<v1::EvaluationSums>& parts, v1::Evaluation& evaluation) {
  const size_t steps = evaluation.protocol().inner_steps() + 1;
  std::vector<double> loss(steps), loss_squares(steps), accuracy(steps), accuracy_squares(steps);
  uint64_t episodes = 0;
  bool has_accuracy = true;
  for (const v1::EvaluationSums& part : parts) {
    episodes += part.episodes();
    has_accuracy = has_accuracy && part.accuracy_size() > 0;
    for (size_t k = 0; k < steps; ++k) {
      const int step = static_cast<int>(k);
      loss[k] += part.loss(step);
      loss_squares[k] += part.loss_squares(step);
      if (has_accuracy) {
        accuracy[k] += part.accuracy(step);
        accuracy_squares[k] += part.accuracy_squares(step);
      }
    }
  }
  for (size_t k = 0; k < steps; ++k) {
    v1::StepMeasure& step = *evaluation.add_steps();
    step.set_step(static_cast<uint32_t>(k));
    const Estimate of_loss = EstimateOf(loss[k], loss_squares[k], episodes);
    step.set_loss(of_loss.mean);
    step.set_loss_ci95(of_loss.ci95);
    if (has_accuracy) {
      const Estimate of_accuracy = EstimateOf(accuracy[k], accuracy_squares[k], episodes);
      step.set_accuracy(of_accuracy.mean);
      step.set_accuracy_ci95(of_accuracy.ci95);
    }
  }
}

double Goodness(const v1::Evaluation& evaluation) {
  const v1::StepMeasure& last = evaluation.steps(evaluation.steps_size() - 1);
  return last.has_accuracy() ? last.accuracy() : -last.loss();
}

}  // namespace innerloop::server
