// A job's tasks, whatever their kind: what they are drawn from and how large they are.
#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "innerloop/v1/job.pb.h"

namespace innerloop {

// The fields by which a task source names its data set. Points into the source it was made of.
struct DataUse {
  absl::string_view field;  // e.g. "tasks.episodes"
  const std::string* dataset = nullptr;
  const std::string* sha256 = nullptr;
  const v1::ClassSplit* split = nullptr;
  // Whether the split divides groups instead of classes.
  bool by_group = false;
};

// Whether tasks are drawn from a data set rather than generated.
bool UsesData(const v1::TaskSource& tasks);
// For sources that use data alone.
DataUse DataUseOf(const v1::TaskSource& tasks);
DataUse DataUseOf(const v1::EpisodeTasks& tasks);
DataUse DataUseOf(const v1::GroupedTasks& tasks);
void SetDataSetSha256(v1::TaskSource& tasks, const std::string& sha256);
// Null for generated tasks.
v1::ClassSplit* MutableSplitOf(v1::TaskSource& tasks);

// As a resolved source has them. `shots` and `queries` are per class for episodes (ways of them),
// else per task, with 1 for `ways`.
struct TaskCounts {
  uint32_t ways = 1;
  uint32_t shots = 0;
  uint32_t queries = 0;
};
TaskCounts CountsOf(const v1::TaskSource& tasks);
// "tasks.sinusoid": the source's name in messages.
absl::string_view FieldOf(const v1::TaskSource& tasks);

// Whether a term of the objective wants tasks with two support sets.
bool NeedsSecondSupport(const v1::MetaObjective& objective);
// Support examples that a training task is drawn with, counted as TaskCounts::shots.
uint64_t TrainingShots(const v1::JobSpec& spec);

// "training", "validation" or "test".
absl::string_view SplitName(v1::Split split);
// "1 shot and 15 queries".
std::string ShotsAndQueries(int64_t shots, int64_t queries);

}  // namespace innerloop
