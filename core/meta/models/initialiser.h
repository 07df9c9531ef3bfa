// Initialisers as a model's specification names them.
#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/meta/models/model.h"

namespace innerloop::meta {

// The scheme for weights with so many inputs and outputs (a convolution's count its window).
Initialiser WeightInitialiser(v1::Initialisation scheme, int64_t fan_in, int64_t fan_out);

// INVALID_ARGUMENT, naming `field`, when the scheme is none that we know.
absl::Status CheckInitialisation(v1::Initialisation scheme, absl::string_view field);

}  // namespace innerloop::meta
