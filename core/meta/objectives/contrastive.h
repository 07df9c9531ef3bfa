// max(0, margin + d(positive) - d(negative)) between what tasks adapt to (the triplet loss of
// Schroff et al. 2015).
#pragma once

#include <memory>

#include "core/meta/objectives/objective_term.h"

namespace innerloop::meta {

std::unique_ptr<ObjectiveTerm> CreateContrastive(const v1::Contrastive& resolved);

}  // namespace innerloop::meta
