// A data set: a memory-mapped safetensors file of labelled examples.
//
// Tensors: "inputs" uint8 [N, H, W, C] or float32 [N, D]; "labels" int64 [N] (classes) or "targets"
// float32 [N, D'] (regression); optional "groups" int64 [N]. Metadata: "format" =
// "innerloop-dataset-1", "name", "class_names" and "group_names" (JSON arrays of strings),
// "class_groups" (JSON array: the group of each class, where classes have one), "preparation" (JSON
// array of "key=value"), "splits" (JSON object: split name -> {"train": [class indices], ...}),
// "crc32c" (as in core/tensor/safetensors.h). Examples are sorted by class.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/tensor/safetensors.h"
#include "innerloop/v1/checkpoint.pb.h"
#include "innerloop/v1/job.pb.h"

namespace innerloop {

// Classes of each part, by index into class_names, in increasing order... of a split. Disjoint.
struct ClassLists {
  std::vector<uint32_t> train, validation, test;
  const std::vector<uint32_t>& Of(v1::Split split) const;
};

// Immutable after Open; thread-safe.
class Dataset {
 public:
  // Maps, checks the CRC32C and the structure. DATA_LOSS or INVALID_ARGUMENT, naming the file.
  static absl::StatusOr<std::shared_ptr<const Dataset>> Open(const std::string& path);

  // Without name resolution: `name` as the file's metadata has it; sha256 is computed over the file
  // on the first call and kept.
  v1::DataSetDescription Describe() const;

  int64_t examples() const;
  absl::Span<const int64_t> example_shape() const;  // [H, W, C] or [D]
  bool images() const;                              // inputs are uint8
  // Values of example i; the one that fits images().
  absl::Span<const uint8_t> ImageAt(int64_t i) const;
  absl::Span<const float> FeaturesAt(int64_t i) const;

  // Classification: examples of class c are class_begin(c) .. class_begin(c + 1) - 1.
  uint32_t classes() const;
  int64_t class_begin(uint32_t c) const;
  const std::vector<std::string>& class_names() const;
  // Group of each class (for Omniglot its alphabet); empty where classes have none.
  const std::vector<uint32_t>& class_groups() const;
  const std::vector<std::string>& group_names() const;
  const std::map<std::string, ClassLists>& splits() const;

 private:
  struct State;
  explicit Dataset(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;

 public:
  ~Dataset();
};

// What a DatasetWriter is given: examples sorted by class. Filled by importers.
struct DatasetContent {
  std::string name;
  std::vector<int64_t> example_shape;
  std::vector<uint8_t> images;  // either this
  std::vector<float> features;  // or this
  std::vector<int64_t> labels;  // class of each example, non-decreasing
  std::vector<std::string> class_names;
  std::vector<uint32_t> class_groups;
  std::vector<std::string> group_names;
  std::vector<std::string> preparation;
  std::map<std::string, ClassLists> splits;
};

// Writes the file durably, whole or not at all.
absl::Status WriteDataset(const DatasetContent& content, const std::string& path);

// The classes of train, validation and test that `split` asks for. INVALID_ARGUMENT names the field
// and says how many classes there are: too many asked for, an unknown class name (with the nearest
// known one), a class in two parts, a split name that the data set lacks.
absl::StatusOr<ClassLists> ResolveSplit(const Dataset& dataset, const v1::ClassSplit& split);

}  // namespace innerloop
