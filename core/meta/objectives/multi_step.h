// The query losses after each inner step, weighted (MAML++, Antoniou et al. 2019, section 4).
#pragma once

#include <memory>

#include "core/meta/objectives/objective_term.h"

namespace innerloop::meta {

// `resolved` has a weight for each inner step.
std::unique_ptr<ObjectiveTerm> CreateMultiStepQueryLoss(const v1::MultiStepQueryLoss& resolved);

}  // namespace innerloop::meta
