// Trying a user's model out before it is used.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "core/job/job_spec.h"
#include "core/meta/models/script_module.h"

namespace innerloop::meta {

class ScriptedModel;

// The shape in which a module sees examples: images [H, W, C] as [C, H, W].
Tensor AsModulesSee(const Tensor& inputs);

// Calls the module with a few examples of the tasks' shape, for one task. INVALID_ARGUMENT when it
// raises, keeps state, is random, or returns another shape than [n, outputs].
absl::Status TryModule(ScriptModule& module, const TaskShape& shape);

// Whether an example's outputs depend on the other examples.
bool MixesExamples(ScriptModule& module, const TaskShape& shape);

// Why all tasks at once would not give what one task at a time gives, in outputs, their gradient
// and the gradient's gradient (where there is one); empty when it does. INVALID_ARGUMENT when the
// module cannot be differentiated at all.
absl::StatusOr<std::string> WhyNotAtOnce(const ScriptedModel& model, const TaskShape& shape);

}  // namespace innerloop::meta
