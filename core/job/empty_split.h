// Parts of a split that hold nothing to draw tasks from.
#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "core/job/task_view.h"
#include "innerloop/v1/job.pb.h"

namespace innerloop {

// INVALID_ARGUMENT for what draws from `part` of the data's split, which is empty, and whose name
// in messages is `asks`: says which field of the split decides that.
absl::Status EmptySplit(const DataUse& use, v1::Split part, absl::string_view asks);

}  // namespace innerloop
