#include "core/meta/objectives/meta_objective.h"

#include <iterator>

#include "absl/strings/str_cat.h"
#include "core/meta/objectives/contrastive.h"
#include "core/meta/objectives/gradient_norm.h"
#include "core/meta/objectives/multi_step.h"
#include "core/meta/objectives/parameter_distance.h"
#include "core/meta/objectives/query_loss.h"

namespace innerloop::meta {
namespace {

// Null for a term without a kind.
std::unique_ptr<ObjectiveTerm> CreateTerm(const v1::ObjectiveTerm& resolved) {
  switch (resolved.kind_case()) {
    case v1::ObjectiveTerm::kQueryLoss:
      return CreateQueryLoss();
    case v1::ObjectiveTerm::kMultiStepQueryLoss:
      return CreateMultiStepQueryLoss(resolved.multi_step_query_loss());
    case v1::ObjectiveTerm::kParameterDistance:
      return CreateParameterDistance(resolved.parameter_distance());
    case v1::ObjectiveTerm::kContrastive:
      return CreateContrastive(resolved.contrastive());
    case v1::ObjectiveTerm::kGradientNorm:
      return CreateGradientNorm();
    case v1::ObjectiveTerm::KIND_NOT_SET:
      break;
  }
  return nullptr;
}

void AddTo(const Tensor& value, Tensor& sum) {
  if (value.defined()) {
    sum = sum.defined() ? sum + value : value;
  }
}

}  // namespace

absl::StatusOr<MetaObjective> MetaObjective::Create(const v1::MetaObjective& resolved) {
  std::vector<WeightedTerm> terms;
  for (int i = 0; i < resolved.terms_size(); ++i) {
    std::unique_ptr<ObjectiveTerm> term = CreateTerm(resolved.terms(i));
    if (term == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat("objective.terms[", i, "] has no kind"));
    }
    terms.push_back({.weight = resolved.terms(i).weight(), .term = std::move(term)});
  }
  if (terms.empty()) {
    terms.push_back({.weight = 1, .term = CreateQueryLoss()});
  }
  return MetaObjective(std::move(terms));
}

MetaObjective::MetaObjective(std::vector<WeightedTerm> terms) : terms_(std::move(terms)) {
  for (const WeightedTerm& weighted : terms_) {
    needs_second_support_ |= weighted.term->needs_second_support();
    needs_every_point_ |= weighted.term->needs_every_point();
  }
}

TaskSizes MetaObjective::TrainingSizes(const TaskSizes& sizes) const {
  TaskSizes training = sizes;
  training.shots *= needs_second_support_ ? 2 : 1;
  return training;
}

SupportSets MetaObjective::SupportSetsOf(const TaskBatch& tasks) const {
  return needs_second_support_ ? SplitSupport(tasks)
                               : SupportSets{.tasks = tasks, .second = std::nullopt};
}

Tensor MetaObjective::Values(InnerLoops& loops) const {
  Tensor sum;
  for (size_t step = 1; step <= loops.steps(); ++step) {
    AddTo(ValuesAt(step, loops), sum);
  }
  return sum;
}

Tensor MetaObjective::ValuesAt(size_t step, InnerLoops& loops) const {
  Tensor sum;
  for (const auto& [weight, term] : terms_) {
    if (step != loops.steps() && !term->needs_every_point()) {
      continue;
    }
    const Tensor values = term->ValuesAt(step, loops);
    AddTo(weight == 1 || !values.defined() ? values : weight * values, sum);
  }
  return sum;
}

PointGradients DifferentiateAt(size_t step, const InnerLoops& loops, const Tensor& values) {
  const Tensors& point = loops.path().points[step];
  Tensors variables = point;
  const Tensors& start = loops.path().points.front();
  variables.insert(variables.end(), start.begin(), start.end());
  if (!loops.second().points.empty()) {
    const Tensors& second = loops.second().points[step];
    variables.insert(variables.end(), second.begin(), second.end());
  }
  Tensors gradients = torch::autograd::grad({values}, variables, {at::ones_like(values)},
                                            /*retain_graph=*/false, /*create_graph=*/false,
                                            /*allow_unused=*/true);
  const auto at = [&](size_t i) {
    return std::make_move_iterator(gradients.begin() + static_cast<std::ptrdiff_t>(i));
  };
  const size_t count = point.size();
  return {.start = {at(count), at(2 * count)},
          .point = {at(0), at(count)},
          .second = {at(2 * count), at(gradients.size())}};
}

void AddWhereDefined(const Tensors& more, Tensors& sums) {
  const torch::NoGradGuard no_grad;
  for (size_t i = 0; i < more.size(); ++i) {
    AddTo(more[i], sums[i]);
  }
}

}  // namespace innerloop::meta
