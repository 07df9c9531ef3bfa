// How an evaluation was measured: figures without it cannot be compared.
#pragma once

#include <string>

#include "client/render/views.h"
#include "innerloop/v1/training.pb.h"

namespace innerloop::client {

// "test, 5-way 1-shot, 1 query, 1,000 episodes, 3 inner steps, transductive, each class rotated".
// The spec is of the job that was evaluated. Transduction and rotations are of classification.
std::string ProtocolText(const v1::Evaluation& evaluation, const v1::JobSpec& spec);

// Adds split, ways, shots, queries, episodes, inner_steps, transductive, rotations, line_search,
// seed and, as "protocol", the text; without ways, transductive and rotations where there are none.
void AddProtocol(Json& json, const v1::Evaluation& evaluation, const v1::JobSpec& spec);

// "yes", "no" or "single", as `evaluate --transductive` takes it.
std::string TransductionName(v1::Transduction transduction);

}  // namespace innerloop::client
