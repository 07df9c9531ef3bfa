#include "core/dataset/dataset.h"

#include <algorithm>
#include <utility>

#include "absl/base/call_once.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/dataset/dataset_format.h"
#include "core/support/checksum.h"
#include "core/support/mapped_file.h"
#include "core/support/status_macros.h"
#include "core/tensor/safetensors.h"

namespace innerloop {
namespace {

// The values of a tensor in place.
template <typename T>
absl::StatusOr<absl::Span<const T>> Values(const SafeTensor& tensor) {
  if (reinterpret_cast<uintptr_t>(tensor.bytes.data()) % alignof(T) != 0) {
    return absl::InvalidArgumentError(absl::StrCat("the tensor '", tensor.name,
                                                   "' does not begin at a multiple of ", alignof(T),
                                                   " bytes of the file"));
  }
  return absl::MakeConstSpan(reinterpret_cast<const T*>(tensor.bytes.data()),
                             tensor.bytes.size() / sizeof(T));
}

}  // namespace

const std::vector<uint32_t>& ClassLists::Of(v1::Split split) const {
  switch (split) {
    case v1::SPLIT_VALIDATION:
      return validation;
    case v1::SPLIT_TEST:
      return test;
    default:
      return train;
  }
}

struct Dataset::State {
  explicit State(MappedFile mapped) : file(std::move(mapped)) {}

  absl::Status Read(const SafeTensorsView& view);
  absl::Status ReadInputs(const SafeTensor& inputs);

  const MappedFile file;
  DatasetContent content;  // without the examples' own values
  int64_t examples = 0;
  int64_t example_values = 1;
  // Where the inputs lie in the file; the other is null.
  const uint8_t* images = nullptr;
  const float* features = nullptr;
  absl::Span<const int64_t> labels;  // empty for regression
  absl::Span<const float> targets;   // empty for classification
  // Where each class, of grouped data each group, begins; one more than there are.
  std::vector<int64_t> begin;
  bool grouped = false;

  absl::once_flag hashed;
  std::string sha256;
};

absl::Status Dataset::State::ReadInputs(const SafeTensor& inputs) {
  const bool are_images = inputs.type == ElementType::kU8 && inputs.shape.size() == 4;
  const bool are_features = inputs.type == ElementType::kF32 && inputs.shape.size() == 2;
  if (!are_images && !are_features) {
    return absl::InvalidArgumentError("'inputs' must be U8 [N,H,W,C] or F32 [N,D]");
  }
  examples = inputs.shape[0];
  content.example_shape.assign(inputs.shape.begin() + 1, inputs.shape.end());
  if (are_images) {
    images = reinterpret_cast<const uint8_t*>(inputs.bytes.data());
  } else {
    INNERLOOP_ASSIGN_OR_RETURN(const auto span, Values<float>(inputs));
    features = span.data();
  }
  return absl::OkStatus();
}

absl::Status Dataset::State::Read(const SafeTensorsView& view) {
  INNERLOOP_RETURN_IF_ERROR(ReadDatasetMetadata(view.metadata, content));
  const SafeTensor* const inputs = view.Find("inputs");
  const SafeTensor* const label_column = view.Find("labels");
  const SafeTensor* const target_columns = view.Find("targets");
  const SafeTensor* const group_column = view.Find("groups");
  const auto known =
      std::count_if(view.tensors.begin(), view.tensors.end(), [&](const SafeTensor& tensor) {
        return tensor.name == "inputs" || tensor.name == "labels" || tensor.name == "targets" ||
               tensor.name == "groups";
      });
  if (inputs == nullptr || (label_column == nullptr) == (target_columns == nullptr) ||
      static_cast<size_t>(known) != view.tensors.size()) {
    return absl::InvalidArgumentError(
        "its tensors must be 'inputs', 'labels' or 'targets', perhaps 'groups', and no others");
  }
  INNERLOOP_RETURN_IF_ERROR(ReadInputs(*inputs));
  const auto fits = [&](const SafeTensor& tensor, ElementType type, size_t dimensions) {
    return tensor.type == type && tensor.shape.size() == dimensions && tensor.shape[0] == examples;
  };
  for (const SafeTensor* const column : {label_column, group_column}) {
    if (column != nullptr && !fits(*column, ElementType::kI64, 1)) {
      return absl::InvalidArgumentError(
          absl::StrCat("'", column->name, "' must be I64 [N], with as many examples as 'inputs'"));
    }
  }
  if (label_column != nullptr) {
    INNERLOOP_ASSIGN_OR_RETURN(labels, Values<int64_t>(*label_column));
  } else if (fits(*target_columns, ElementType::kF32, 2) && target_columns->shape[1] > 0) {
    INNERLOOP_ASSIGN_OR_RETURN(targets, Values<float>(*target_columns));
    content.target_size = target_columns->shape[1];
  } else {
    return absl::InvalidArgumentError(
        "'targets' must be F32 [N,M], with as many examples as 'inputs'");
  }
  absl::Span<const int64_t> sorted_by = labels;
  if (group_column != nullptr) {
    INNERLOOP_ASSIGN_OR_RETURN(sorted_by, Values<int64_t>(*group_column));
    grouped = true;
  }
  const auto values = inputs->bytes.size() / static_cast<uint64_t>(ElementSize(inputs->type));
  INNERLOOP_RETURN_IF_ERROR(
      CheckDataset(content, {.examples = examples,
                             .labels = labels,
                             .groups = grouped ? sorted_by : absl::Span<const int64_t>(),
                             .target_values = targets.size(),
                             .input_values = values}));
  example_values = static_cast<int64_t>(values) / examples;
  for (int64_t i = 0; i < examples; ++i) {
    if (i == 0 || sorted_by[static_cast<size_t>(i)] != sorted_by[static_cast<size_t>(i - 1)]) {
      begin.push_back(i);
    }
  }
  begin.push_back(examples);
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const Dataset>> Dataset::Open(const std::string& path) {
  INNERLOOP_ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(path));
  auto state = std::make_unique<State>(std::move(file));
  const absl::StatusOr<SafeTensorsView> view =
      ParseSealed(state->file.bytes(), kDatasetFormat, path);
  if (!view.ok() && (absl::EndsWith(path, ".csv") || absl::EndsWith(path, ".csv.gz"))) {
    return absl::InvalidArgumentError(absl::StrCat(
        "'", path, "' is a table, not a data set; to make one of it: innerloop dataset import csv ",
        path, " --target COLUMN --out NAME.safetensors, with --group COLUMN for grouped tasks"));
  }
  INNERLOOP_RETURN_IF_ERROR(view.status());
  if (const absl::Status read = state->Read(*view); !read.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("data set '", path, "': ", read.message()));
  }
  return std::shared_ptr<const Dataset>(new Dataset(std::move(state)));
}

Dataset::Dataset(std::unique_ptr<State> state) : state_(std::move(state)) {}
Dataset::~Dataset() = default;

v1::DataSetDescription Dataset::Describe() const {
  State& state = *state_;
  absl::call_once(state.hashed, [&] { state.sha256 = Sha256::Hex(state.file.bytes()); });
  const DatasetContent& content = state.content;
  v1::DataSetDescription description;
  description.set_name(content.name);
  description.set_sha256(state.sha256);
  description.set_bytes(state.file.bytes().size());
  description.set_examples(static_cast<uint64_t>(state.examples));
  description.mutable_example_shape()->Add(content.example_shape.begin(),
                                           content.example_shape.end());
  description.set_dtype(images() ? "uint8" : "float32");
  description.set_classes(classes());
  description.set_groups(static_cast<uint32_t>(content.group_names.size()));
  description.mutable_preparation()->Add(content.preparation.begin(), content.preparation.end());
  for (const auto& [name, lists] : content.splits) {
    description.add_splits(name);
  }
  description.set_target_size(static_cast<uint32_t>(content.target_size));
  int64_t smallest = state.examples;
  for (size_t i = 1; i < state.begin.size(); ++i) {
    smallest = std::min(smallest, state.begin[i] - state.begin[i - 1]);
  }
  if (grouped()) {
    description.set_smallest_group(static_cast<uint64_t>(smallest));
    std::vector<uint64_t> sizes(classes(), 0);
    for (const int64_t label : state.labels) {
      ++sizes[static_cast<size_t>(label)];
    }
    description.set_smallest_class(sizes.empty() ? 0
                                                 : *std::min_element(sizes.begin(), sizes.end()));
  } else {
    description.set_smallest_class(static_cast<uint64_t>(smallest));
  }
  return description;
}

const std::string& Dataset::name() const { return state_->content.name; }
int64_t Dataset::examples() const { return state_->examples; }
absl::Span<const int64_t> Dataset::example_shape() const { return state_->content.example_shape; }
bool Dataset::images() const { return state_->images != nullptr; }

absl::Span<const uint8_t> Dataset::ImageAt(int64_t i) const {
  return {state_->images + i * state_->example_values, static_cast<size_t>(state_->example_values)};
}

absl::Span<const float> Dataset::FeaturesAt(int64_t i) const {
  return {state_->features + i * state_->example_values,
          static_cast<size_t>(state_->example_values)};
}

uint32_t Dataset::classes() const {
  return static_cast<uint32_t>(state_->content.class_names.size());
}
bool Dataset::grouped() const { return state_->grouped; }
int64_t Dataset::group_begin(uint32_t g) const { return state_->begin[g]; }
int64_t Dataset::class_begin(uint32_t c) const { return state_->begin[c]; }
int64_t Dataset::target_size() const { return state_->content.target_size; }
int64_t Dataset::LabelAt(int64_t i) const { return state_->labels[static_cast<size_t>(i)]; }
absl::Span<const float> Dataset::TargetAt(int64_t i) const {
  const int64_t size = target_size();
  return state_->targets.subspan(static_cast<size_t>(i * size), static_cast<size_t>(size));
}
const std::vector<std::string>& Dataset::class_names() const { return state_->content.class_names; }
const std::vector<uint32_t>& Dataset::class_groups() const { return state_->content.class_groups; }
const std::vector<std::string>& Dataset::group_names() const { return state_->content.group_names; }
const std::map<std::string, ClassLists>& Dataset::splits() const { return state_->content.splits; }

}  // namespace innerloop
