// The terms of the meta-objective.
#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_join.h"
#include "core/job/checks.h"
#include "core/job/resolve_parts.h"
#include "core/support/counted.h"
#include "core/support/status_macros.h"

namespace innerloop::job {
namespace {

constexpr int kMaxTerms = 16;

absl::Status Finite(absl::string_view field, double value) {
  return std::isfinite(value) ? absl::OkStatus()
                              : absl::InvalidArgumentError(absl::StrCat(
                                    field, " is ", value, "; it must be a finite number"));
}

// Inner steps in training; nullopt for methods that minimise something of their own.
std::optional<uint32_t> InnerStepsOf(const v1::Algorithm& algorithm) {
  switch (algorithm.kind_case()) {
    case v1::Algorithm::kMaml:
      return algorithm.maml().inner_steps();
    case v1::Algorithm::kReptile:
      return algorithm.reptile().inner_steps();
    case v1::Algorithm::kLstmMetaLearner:
      return algorithm.lstm_meta_learner().inner_steps();
    case v1::Algorithm::kMatchingNetworks:
    case v1::Algorithm::kPrototypicalNetworks:
    case v1::Algorithm::kPretraining:
    case v1::Algorithm::KIND_NOT_SET:
      break;
  }
  return std::nullopt;
}

// Where the path of adaptation counts as the identity, terms of differences between its points have
// no derivative.
absl::Status NeedsSecondOrder(absl::string_view field, const v1::Algorithm& algorithm,
                              absl::string_view instead) {
  const bool first_order =
      algorithm.has_reptile() ||
      (algorithm.has_maml() && algorithm.maml().order() == v1::Maml::ORDER_FIRST);
  return first_order ? absl::InvalidArgumentError(
                           absl::StrCat(field,
                                        " has no first-order gradient: take algorithm.maml with "
                                        "ORDER_SECOND or ORDER_HVP, or ",
                                        instead))
                     : absl::OkStatus();
}

absl::Status ResolveMultiStep(const std::string& field, uint32_t inner_steps,
                              v1::MultiStepQueryLoss& term) {
  if (term.step_weights().empty()) {
    term.mutable_step_weights()->Resize(static_cast<int>(inner_steps), 1.0 / inner_steps);
  }
  if (term.step_weights_size() != static_cast<int64_t>(inner_steps)) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, ".step_weights has ",
                     Counted(static_cast<uint64_t>(term.step_weights_size()), "value"),
                     "; inner_steps is ", inner_steps));
  }
  double sum = 0;
  for (int i = 0; i < term.step_weights_size(); ++i) {
    INNERLOOP_RETURN_IF_ERROR(
        NotNegative(absl::StrCat(field, ".step_weights[", i, "]"), term.step_weights(i)));
    sum += term.step_weights(i);
  }
  return sum > 0 ? absl::OkStatus()
                 : absl::InvalidArgumentError(
                       absl::StrCat(field, ".step_weights are all 0; one must be above 0"));
}

// How an iteration's tasks are cut.
struct Cut {
  uint32_t tasks_per_shard = 1;
  uint32_t tasks_per_chunk = 1;
};

bool HasChunkOfOne(uint32_t meta_batch, const Cut& cut) {
  // Shards' sizes differ by at most one: the first is among the largest, the last the smallest.
  const auto shard_has = [&](uint64_t index) {
    const TaskRange range = Part(meta_batch, cut.tasks_per_shard, index);
    return (range.last - range.first - 1) % cut.tasks_per_chunk == 0;
  };
  return cut.tasks_per_chunk == 1 || shard_has(0) ||
         shard_has(PartCount(meta_batch, cut.tasks_per_shard) - 1);
}

// The one nearest to the job's own that leaves no task alone: with its shards if possible, with
// larger chunks only if need be. One shard and chunk of all tasks always does.
Cut NearestCut(uint32_t meta_batch, const Cut& own) {
  for (uint32_t distance = 0;; ++distance) {
    for (const int64_t shard :
         {int64_t{own.tasks_per_shard} - distance, int64_t{own.tasks_per_shard} + distance}) {
      if (shard < 2 || shard > meta_batch) {
        continue;
      }
      const auto size = static_cast<uint32_t>(shard);
      const uint32_t chunk = std::min(own.tasks_per_chunk, size);
      for (uint32_t smaller = chunk; smaller > 1; --smaller) {
        if (!HasChunkOfOne(meta_batch, {size, smaller})) {
          return {size, smaller};
        }
      }
      for (uint32_t larger = chunk + 1; larger <= size; ++larger) {
        if (!HasChunkOfOne(meta_batch, {size, larger})) {
          return {size, larger};
        }
      }
    }
  }
}

absl::Status CheckPairs(const std::string& field, const v1::JobSpec& spec) {
  const Cut own{spec.tasks_per_shard(), spec.tasks_per_chunk()};
  if (!HasChunkOfOne(spec.meta_batch(), own)) {
    return absl::OkStatus();
  }
  std::vector<std::string> remedy;
  if (spec.meta_batch() == 1) {
    remedy.emplace_back("meta_batch to 2 or more");
  } else {
    const Cut cut = NearestCut(spec.meta_batch(), own);
    if (cut.tasks_per_shard != own.tasks_per_shard) {
      remedy.push_back(absl::StrCat("tasks_per_shard to ", cut.tasks_per_shard));
    }
    if (cut.tasks_per_chunk != own.tasks_per_chunk) {
      remedy.push_back(absl::StrCat("tasks_per_chunk to ", cut.tasks_per_chunk));
    }
  }
  return absl::InvalidArgumentError(absl::StrCat(
      field, " pairs each task with the next of its chunk; with meta_batch ", spec.meta_batch(),
      ", tasks_per_shard ", spec.tasks_per_shard(), " and tasks_per_chunk ", spec.tasks_per_chunk(),
      " a chunk has one task: set ", absl::StrJoin(remedy, " and ")));
}

absl::Status ResolveContrastive(const std::string& field, const v1::JobSpec& spec,
                                v1::Contrastive& term) {
  term.set_margin(term.has_margin() ? term.margin() : 1);
  INNERLOOP_RETURN_IF_ERROR(Finite(field + ".margin", term.margin()));
  v1::Contrastive::Space space = term.space();
  INNERLOOP_RETURN_IF_ERROR(OrDefault(field + ".space", space, v1::Contrastive::SPACE_PARAMETERS,
                                      v1::Contrastive::Space_IsValid));
  term.set_space(space);
  if (space == v1::Contrastive::SPACE_PARAMETERS) {
    INNERLOOP_RETURN_IF_ERROR(
        NeedsSecondOrder(field + " in SPACE_PARAMETERS", spec.algorithm(), "SPACE_EMBEDDINGS"));
  } else if (spec.model().has_linear() || spec.model().has_torchscript() ||
             (spec.model().has_mlp() && spec.model().mlp().hidden().empty())) {
    return absl::InvalidArgumentError(
        absl::StrCat(field,
                     ".space is SPACE_EMBEDDINGS, which needs a model with hidden layers: "
                     "mlp with hidden layers or conv4; or choose SPACE_PARAMETERS"));
  }
  return CheckPairs(field, spec);
}

absl::Status ResolveTerm(const std::string& field, const v1::JobSpec& spec, uint32_t inner_steps,
                         v1::ObjectiveTerm& term) {
  term.set_weight(term.has_weight() ? term.weight() : 1);
  INNERLOOP_RETURN_IF_ERROR(Finite(field + ".weight", term.weight()));
  switch (term.kind_case()) {
    case v1::ObjectiveTerm::kMultiStepQueryLoss:
      return ResolveMultiStep(field + ".multi_step_query_loss", inner_steps,
                              *term.mutable_multi_step_query_loss());
    case v1::ObjectiveTerm::kParameterDistance:
      return term.parameter_distance().through_adaptation()
                 ? NeedsSecondOrder(field + ".parameter_distance.through_adaptation",
                                    spec.algorithm(), "leave it out")
                 : absl::OkStatus();
    case v1::ObjectiveTerm::kContrastive:
      return ResolveContrastive(field + ".contrastive", spec, *term.mutable_contrastive());
    case v1::ObjectiveTerm::kQueryLoss:
    case v1::ObjectiveTerm::kGradientNorm:
      return absl::OkStatus();
    case v1::ObjectiveTerm::KIND_NOT_SET:
      break;
  }
  return Missing(field,
                 "query_loss, multi_step_query_loss, parameter_distance, contrastive or "
                 "gradient_norm");
}

}  // namespace

absl::Status ResolveObjective(v1::JobSpec& spec) {
  if (spec.objective().terms().empty()) {
    spec.clear_objective();  // the method's own
    return absl::OkStatus();
  }
  const std::optional<uint32_t> inner_steps = InnerStepsOf(spec.algorithm());
  if (!inner_steps.has_value()) {
    return absl::InvalidArgumentError(
        "objective is for algorithm.maml, reptile and lstm_meta_learner; other methods minimise a "
        "loss of their own: leave it out");
  }
  if (spec.objective().terms_size() > kMaxTerms) {
    return absl::InvalidArgumentError(absl::StrCat(
        "objective.terms has ", spec.objective().terms_size(), " terms; at most ", kMaxTerms));
  }
  for (int i = 0; i < spec.objective().terms_size(); ++i) {
    INNERLOOP_RETURN_IF_ERROR(ResolveTerm(absl::StrCat("objective.terms[", i, "]"), spec,
                                          *inner_steps,
                                          *spec.mutable_objective()->mutable_terms(i)));
  }
  return absl::OkStatus();
}

}  // namespace innerloop::job
