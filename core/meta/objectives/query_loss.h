// The query loss after the last inner step.
#pragma once

#include <memory>

#include "core/meta/objectives/objective_term.h"

namespace innerloop::meta {

std::unique_ptr<ObjectiveTerm> CreateQueryLoss();

}  // namespace innerloop::meta
