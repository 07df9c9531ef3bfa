#include "core/dataset/dataset.h"

#include <algorithm>
#include <utility>

#include "absl/base/call_once.h"
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

  const MappedFile file;
  DatasetContent content;  // without examples and labels
  int64_t examples = 0;
  int64_t example_values = 1;
  // Where the inputs lie in the file; the other is null.
  const uint8_t* images = nullptr;
  const float* features = nullptr;
  std::vector<int64_t> class_begin;  // one more than classes

  absl::once_flag hashed;
  std::string sha256;
};

absl::Status Dataset::State::Read(const SafeTensorsView& view) {
  INNERLOOP_RETURN_IF_ERROR(ReadDatasetMetadata(view.metadata, content));
  const SafeTensor* const labels_tensor = view.Find("labels");
  const SafeTensor* const inputs = view.Find("inputs");
  if (view.tensors.size() != 2 || labels_tensor == nullptr || inputs == nullptr) {
    return absl::InvalidArgumentError("its tensors must be 'labels' and 'inputs', and no others");
  }
  if (labels_tensor->type != ElementType::kI64 || labels_tensor->shape.size() != 1) {
    return absl::InvalidArgumentError("'labels' must be I64 [N]");
  }
  const bool are_images = inputs->type == ElementType::kU8 && inputs->shape.size() == 4;
  const bool are_features = inputs->type == ElementType::kF32 && inputs->shape.size() == 2;
  if ((!are_images && !are_features) || inputs->shape[0] != labels_tensor->shape[0]) {
    return absl::InvalidArgumentError(
        "'inputs' must be U8 [N,H,W,C] or F32 [N,D], with as many examples as 'labels'");
  }
  examples = inputs->shape[0];
  content.example_shape.assign(inputs->shape.begin() + 1, inputs->shape.end());
  INNERLOOP_ASSIGN_OR_RETURN(const auto labels, Values<int64_t>(*labels_tensor));
  const auto values = inputs->bytes.size() / static_cast<uint64_t>(ElementSize(inputs->type));
  INNERLOOP_RETURN_IF_ERROR(CheckDataset(content, labels, values));
  example_values = static_cast<int64_t>(values) / examples;
  if (are_images) {
    images = reinterpret_cast<const uint8_t*>(inputs->bytes.data());
  } else {
    INNERLOOP_ASSIGN_OR_RETURN(const auto span, Values<float>(*inputs));
    features = span.data();
  }
  for (int64_t i = 0; i < examples; ++i) {
    if (i == 0 || labels[static_cast<size_t>(i)] != labels[static_cast<size_t>(i - 1)]) {
      class_begin.push_back(i);
    }
  }
  class_begin.push_back(examples);
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const Dataset>> Dataset::Open(const std::string& path) {
  INNERLOOP_ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(path));
  auto state = std::make_unique<State>(std::move(file));
  INNERLOOP_ASSIGN_OR_RETURN(const SafeTensorsView view,
                             ParseSealed(state->file.bytes(), kDatasetFormat, path));
  if (const absl::Status read = state->Read(view); !read.ok()) {
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
  int64_t smallest = state.examples;
  for (uint32_t c = 0; c < classes(); ++c) {
    smallest = std::min(smallest, class_begin(c + 1) - class_begin(c));
  }
  description.set_smallest_class(static_cast<uint64_t>(smallest));
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
int64_t Dataset::class_begin(uint32_t c) const { return state_->class_begin[c]; }
const std::vector<std::string>& Dataset::class_names() const { return state_->content.class_names; }
const std::vector<uint32_t>& Dataset::class_groups() const { return state_->content.class_groups; }
const std::vector<std::string>& Dataset::group_names() const { return state_->content.group_names; }
const std::map<std::string, ClassLists>& Dataset::splits() const { return state_->content.splits; }

}  // namespace innerloop
