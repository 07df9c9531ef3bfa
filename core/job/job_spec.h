// Job specifications: reading them, overriding fields, filling in defaults, and saying what is
// wrong with them. Used by the client (early errors), the coordinator (the word that counts) and
// the worker's core. No LibTorch, no gRPC.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "innerloop/v1/checkpoint.pb.h"
#include "innerloop/v1/job.pb.h"

namespace innerloop {

// Parses a job file's text: JSON when its first character is "{", textproto otherwise.
// INVALID_ARGUMENT as "FILE:LINE:COLUMN: what".
absl::StatusOr<v1::JobSpec> ParseJobSpec(absl::string_view text, absl::string_view file_name);

// Applies "path=value" (e.g. "algorithm.maml.inner_steps=5", "model.mlp.hidden=[64,64]"); choosing
// another member of a oneof replaces the first. INVALID_ARGUMENT names the path, and the known
// fields when one is unknown.
absl::Status SetField(v1::JobSpec& spec, absl::string_view assignment);

// Replaces ClassSplit.files by names read from the files (relative to `folder`).
absl::Status LoadSplitFiles(v1::JobSpec& spec, const std::string& folder);

// Checks every field and fills in every default. `data_set` is what the job's tasks are drawn from,
// if they are and it is known already; what depends on it (ways against classes) is checked only
// then. Resolving a resolved spec changes nothing. INVALID_ARGUMENT, one line: "tasks.episodes.ways
// is 30; the test split of 'digits' has 10 classes".
absl::StatusOr<v1::JobSpec> ResolveJobSpec(const v1::JobSpec& spec,
                                           const v1::DataSetDescription* data_set);

// Checks what is for people alone: name, labels and note. Part of ResolveJobSpec. INVALID_ARGUMENT
// names the field.
absl::Status CheckWords(const v1::JobSpec& spec);
// Whether two specs differ in nothing but those.
bool SameButForWords(const v1::JobSpec& a, const v1::JobSpec& b);

// Fills in a protocol's defaults from the job, and checks it. `field` is its name in messages.
absl::StatusOr<v1::EvaluationProtocol> ResolveProtocol(const v1::JobSpec& resolved,
                                                       const v1::EvaluationProtocol& protocol,
                                                       v1::Split default_split,
                                                       uint32_t default_episodes,
                                                       absl::string_view field);

// Whether an example's outputs may depend on the other examples: batch norm, and users' own models,
// of which it is not known. Else transduction makes no difference.
bool MayMixExamples(const v1::ModelSpec& model);

// Name of the data set that the job draws from; nullopt for generated tasks.
std::optional<std::string> DataSetOf(const v1::JobSpec& spec);

// Sizes that follow from a resolved spec and its data set.
struct TaskShape {
  std::vector<int64_t> input;  // of one example: [1], [H, W, C] or [D]
  int64_t outputs = 0;         // ways, or target dimensions
  bool classification = false;
};
absl::StatusOr<TaskShape> ShapeOfTasks(const v1::JobSpec& resolved,
                                       const v1::DataSetDescription* data_set);

// Fields that differ among those that decide the bits of the parameters after some number of
// iterations, one "path: a against b" each. Empty: `b` may go on from `a`'s checkpoint.
std::vector<std::string> SpecDifferences(const v1::JobSpec& a, const v1::JobSpec& b);

// First and one-past-last task of shard `index`: ceil(B / tasks_per_shard) shards whose sizes
// differ by at most one, the larger first.
struct TaskRange {
  uint64_t first = 0;
  uint64_t last = 0;
};
uint64_t ShardCount(const v1::JobSpec& resolved);
TaskRange ShardTasks(const v1::JobSpec& resolved, uint64_t index);
// The same for any number of items cut into parts of at most `most`.
uint64_t PartCount(uint64_t items, uint64_t most);
TaskRange Part(uint64_t items, uint64_t most, uint64_t index);
// The parts of an evaluation: few enough that one beside a training does not hold a slot for long.
inline constexpr uint64_t kEpisodesPerPart = 25;

}  // namespace innerloop
