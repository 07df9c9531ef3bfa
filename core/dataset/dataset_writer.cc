#include <utility>
#include <vector>

#include "core/dataset/dataset.h"
#include "core/dataset/dataset_format.h"
#include "core/support/file_system.h"
#include "core/support/status_macros.h"
#include "core/tensor/safetensors.h"

namespace innerloop {
namespace {

template <typename T>
absl::string_view Bytes(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

}  // namespace

absl::Status WriteDataset(const DatasetContent& content, const std::string& path) {
  const bool images = content.example_shape.size() == 3;
  if (images ? !content.features.empty() : !content.images.empty()) {
    return absl::InvalidArgumentError("a data set holds either images [H,W,C] or features [D]");
  }
  // What the example count is told by is there in every data set.
  const auto examples =
      static_cast<int64_t>(content.groups.empty() ? content.labels.size() : content.groups.size());
  INNERLOOP_RETURN_IF_ERROR(CheckDataset(
      content, {.examples = examples,
                .labels = content.labels,
                .groups = content.groups,
                .target_values = content.targets.size(),
                .input_values = images ? content.images.size() : content.features.size()}));

  std::vector<SafeTensor> tensors;
  if (!content.groups.empty()) {
    tensors.push_back({"groups", ElementType::kI64, {examples}, Bytes(content.groups)});
  }
  if (content.target_size > 0) {
    tensors.push_back(
        {"targets", ElementType::kF32, {examples, content.target_size}, Bytes(content.targets)});
  } else {
    tensors.push_back({"labels", ElementType::kI64, {examples}, Bytes(content.labels)});
  }
  std::vector<int64_t> shape = {examples};
  shape.insert(shape.end(), content.example_shape.begin(), content.example_shape.end());
  tensors.push_back({"inputs", images ? ElementType::kU8 : ElementType::kF32, std::move(shape),
                     images ? Bytes(content.images) : Bytes(content.features)});
  INNERLOOP_ASSIGN_OR_RETURN(auto metadata, DatasetMetadata(content));
  metadata["crc32c"] = "00000000";
  INNERLOOP_ASSIGN_OR_RETURN(SafeTensorsFile file, BuildSafeTensors(tensors, metadata));
  SealCrc32c(file);
  std::vector<absl::string_view> pieces = {file.header};
  pieces.insert(pieces.end(), file.pieces.begin(), file.pieces.end());
  return FileSystem::Real().Replace(path, pieces);
}

}  // namespace innerloop
