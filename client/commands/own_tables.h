// A user's own examples that are rows of a table.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "client/commands/own_examples.h"

namespace innerloop::client {

// A CSV file with the columns that the model's training set was imported from. For generated tasks
// the first columns are the inputs, the next the targets. `group`: rows of this one alone; empty:
// all, which must be of one group where groups are tasks and the file has their column.
// `with_targets`: they must be there; else they may be.
absl::StatusOr<OwnExamples> ReadTable(const v1::ModelDescription& model, const std::string& source,
                                      const std::string& group, bool with_targets);

}  // namespace innerloop::client
