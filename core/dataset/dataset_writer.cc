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
  INNERLOOP_RETURN_IF_ERROR(CheckDataset(content, content.labels,
                                         images ? content.images.size() : content.features.size()));

  const auto examples = static_cast<int64_t>(content.labels.size());
  std::vector<int64_t> shape = {examples};
  shape.insert(shape.end(), content.example_shape.begin(), content.example_shape.end());
  INNERLOOP_ASSIGN_OR_RETURN(auto metadata, DatasetMetadata(content));
  metadata["crc32c"] = "00000000";
  INNERLOOP_ASSIGN_OR_RETURN(
      SafeTensorsFile file,
      BuildSafeTensors({{.name = "labels",
                         .type = ElementType::kI64,
                         .shape = {examples},
                         .bytes = Bytes(content.labels)},
                        {.name = "inputs",
                         .type = images ? ElementType::kU8 : ElementType::kF32,
                         .shape = shape,
                         .bytes = images ? Bytes(content.images) : Bytes(content.features)}},
                       metadata));
  SealCrc32c(file);
  std::vector<absl::string_view> pieces = {file.header};
  pieces.insert(pieces.end(), file.pieces.begin(), file.pieces.end());
  return FileSystem::Real().Replace(path, pieces);
}

}  // namespace innerloop
