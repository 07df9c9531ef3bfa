// A data set: a memory-mapped safetensors file of examples. They have classes and are sorted by
// class; or (grouped data) each belongs to a group, they are sorted by group, and have classes or
// numeric targets.
//
// Tensors: "inputs" uint8 [N, H, W, C] (images) or float32 [N, D] (features); "labels" int64 [N],
// the class of each example (not falling, without groups), or "targets" float32 [N, M] (with groups
// alone); for grouped data "groups" int64 [N], not falling. Metadata: "format" =
// "innerloop-dataset-1"; "name"; "class_names" and "group_names" (JSON arrays of strings);
// "class_groups" (JSON array: the group of each class; empty where classes have none, and for
// grouped data); "preparation" (JSON array of "key=value"); "splits" (JSON object: split name ->
// {"train": [indices], "validation": [...], "test": [...]}, of classes, for grouped data of
// groups); "crc32c" (as in core/tensor/safetensors.h). An entry has at most 16 MiB.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "innerloop/v1/checkpoint.pb.h"
#include "innerloop/v1/job.pb.h"
#include "innerloop/v1/training.pb.h"

namespace innerloop {

// The classes (of grouped data: the groups) of a split's parts, by index, rising; the parts are
// disjoint.
struct ClassLists {
  std::vector<uint32_t> train, validation, test;
  const std::vector<uint32_t>& Of(v1::Split split) const;
};

// What a data set consists of: what importers fill, WriteDataset takes and, without the examples, a
// Dataset keeps.
struct DatasetContent {
  // 1..100 characters of [A-Za-z0-9._-].
  std::string name;
  // [H, W, C], C from 1 to 4, for images; [D] for features.
  std::vector<int64_t> example_shape;
  // Examples sorted by class or by group: either images or features.
  std::vector<uint8_t> images;
  std::vector<float> features;
  // Class of each example, or empty; every class has examples.
  std::vector<int64_t> labels;
  // For regression instead of labels: `target_size` values for each example.
  std::vector<float> targets;
  int64_t target_size = 0;
  // Group of each example, or empty; every group has examples.
  std::vector<int64_t> groups;
  // Unique.
  std::vector<std::string> class_names;
  // Group of each class, or empty. Not together with `groups`.
  std::vector<uint32_t> class_groups;
  std::vector<std::string> group_names;
  std::vector<std::string> preparation;
  std::map<std::string, ClassLists> splits;
};

// An open data set file. Workers draw episodes from it, the coordinator and the client describe it.
// Immutable after Open; thread-safe.
class Dataset {
 public:
  // Maps, checks the CRC32C and everything that later access relies on. DATA_LOSS for a damaged
  // file, INVALID_ARGUMENT for one that is no data set, NOT_FOUND; each names the file.
  static absl::StatusOr<std::shared_ptr<const Dataset>> Open(const std::string& path);
  ~Dataset();

  // `name` as the file's metadata has it; sha256 is computed over the file on the first call and
  // kept.
  v1::DataSetDescription Describe() const;

  const std::string& name() const;
  int64_t examples() const;
  absl::Span<const int64_t> example_shape() const;  // [H, W, C] or [D]
  bool images() const;                              // inputs are uint8
  // Values of example i; the one that fits images().
  absl::Span<const uint8_t> ImageAt(int64_t i) const;
  absl::Span<const float> FeaturesAt(int64_t i) const;

  // Whether each example has its group, by which examples are sorted then.
  bool grouped() const;
  // Of group g, for grouped data alone, the examples are group_begin(g) .. group_begin(g + 1) - 1.
  int64_t group_begin(uint32_t g) const;

  // 0 for regression.
  uint32_t classes() const;
  // Without groups, the examples of class c are class_begin(c) .. class_begin(c + 1) - 1.
  int64_t class_begin(uint32_t c) const;
  // Numbers in a target; 0 for classification.
  int64_t target_size() const;
  // Class or target of example i; the one that fits target_size().
  int64_t LabelAt(int64_t i) const;
  absl::Span<const float> TargetAt(int64_t i) const;
  const std::vector<std::string>& class_names() const;
  // Group of each class (for Omniglot its alphabet); empty where classes have none.
  const std::vector<uint32_t>& class_groups() const;
  const std::vector<std::string>& group_names() const;
  const std::map<std::string, ClassLists>& splits() const;

 private:
  struct State;
  explicit Dataset(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Writes the file durably, whole or not at all. INVALID_ARGUMENT says what is wrong with the
// content.
absl::Status WriteDataset(const DatasetContent& content, const std::string& path);

// Whether a data set can be called so.
bool IsDatasetName(absl::string_view name);

// The classes (of grouped data: the groups) of train, validation and test that `split` asks for.
// INVALID_ARGUMENT names the field and says how many there are: too many asked for, an unknown name
// (with the nearest known one), one in two parts, a split name that the data set lacks.
absl::StatusOr<ClassLists> ResolveSplit(const Dataset& dataset, const v1::ClassSplit& split);

}  // namespace innerloop
