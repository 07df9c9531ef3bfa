#include "core/checkpoint/checkpoint.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <google/protobuf/util/json_util.h>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "core/support/mapped_file.h"
#include "core/support/status_macros.h"
#include "core/tensor/safetensors.h"

namespace innerloop {
namespace {

constexpr absl::string_view kFormat = "innerloop-checkpoint-1";
constexpr absl::string_view kStatePrefix = "optimizer/";

absl::Status Invalid(absl::string_view path, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("checkpoint '", path, "': ", what));
}

// The tensors of one flat buffer, under names with a prefix.
absl::Status AddTensors(const Layout& layout, const FlatBuffer& buffer, absl::string_view prefix,
                        std::vector<SafeTensor>& tensors) {
  if (buffer.size() != layout.flat_size()) {
    return absl::InvalidArgumentError(absl::StrCat("the buffer '", prefix, "' has ", buffer.size(),
                                                   " values; the layout has ", layout.flat_size()));
  }
  for (const TensorEntry& entry : layout.tensors()) {
    tensors.push_back(
        {.name = absl::StrCat(prefix, entry.name),
         .type = ElementType::kF32,
         .shape = entry.shape,
         .bytes = buffer.bytes().substr(static_cast<size_t>(entry.offset) * sizeof(float),
                                        static_cast<size_t>(entry.size) * sizeof(float))});
  }
  return absl::OkStatus();
}

// The tensors of a file by name, taken one by one so that it shows when some are left.
class TensorsByName {
 public:
  TensorsByName(const SafeTensorsView& view, absl::string_view path) : path_(path) {
    for (const SafeTensor& tensor : view.tensors) {
      tensors_.emplace(tensor.name, &tensor);
    }
  }

  size_t size() const { return tensors_.size(); }

  // Checks all tensors against the layout before it takes memory for them.
  absl::StatusOr<FlatBuffer> Take(const Layout& layout, absl::string_view prefix) {
    std::vector<const SafeTensor*> found;
    for (const TensorEntry& entry : layout.tensors()) {
      const std::string name = absl::StrCat(prefix, entry.name);
      const auto tensor = tensors_.find(name);
      if (tensor == tensors_.end()) {
        return Invalid(path_, absl::StrCat("the tensor '", name, "' is missing"));
      }
      if (tensor->second->type != ElementType::kF32 || tensor->second->shape != entry.shape) {
        return Invalid(path_, absl::StrCat("the tensor '", name,
                                           "' has another type or shape than in its layout"));
      }
      found.push_back(tensor->second);
      tensors_.erase(tensor);
    }
    FlatBuffer buffer(layout.flat_size());
    for (size_t i = 0; i < found.size(); ++i) {
      std::copy_n(
          found[i]->bytes.data(), found[i]->bytes.size(),
          buffer.mutable_bytes() + static_cast<size_t>(layout.tensors()[i].offset) * sizeof(float));
    }
    return buffer;
  }

  // The name of a slot of which tensors are left; empty without. A tensor that is none of the
  // optimiser's state is one too many.
  absl::StatusOr<std::string> NextSlot() const {
    if (tensors_.empty()) {
      return std::string();
    }
    absl::string_view name = tensors_.begin()->first;
    if (absl::ConsumePrefix(&name, kStatePrefix)) {
      if (const size_t slash = name.find('/'); slash != 0 && slash != absl::string_view::npos) {
        return std::string(name.substr(0, slash));
      }
    }
    return Invalid(path_, absl::StrCat("the tensor '", tensors_.begin()->first,
                                       "' is neither in its layout nor in the optimiser's state"));
  }

 private:
  absl::string_view path_;
  absl::flat_hash_map<absl::string_view, const SafeTensor*> tensors_;
};

absl::StatusOr<v1::CheckpointMetadata> ReadMetadata(const SafeTensorsView& view,
                                                    const std::string& path) {
  v1::CheckpointMetadata metadata;
  const auto text = view.metadata.find("checkpoint");
  if (text == view.metadata.end()) {
    return Invalid(path, "the metadata 'checkpoint' is missing");
  }
  if (const auto parsed = google::protobuf::util::JsonStringToMessage(text->second, &metadata);
      !parsed.ok()) {
    return Invalid(path, absl::StrCat("its metadata: ", std::string(parsed.message())));
  }
  return metadata;
}

}  // namespace

absl::StatusOr<std::string> WriteCheckpoint(const FileSystem& files, const std::string& path,
                                            Checkpoint& checkpoint) {
  std::vector<SafeTensor> tensors;
  INNERLOOP_RETURN_IF_ERROR(AddTensors(checkpoint.layout, checkpoint.parameters, "", tensors));
  for (const auto& [slot, buffer] : checkpoint.optimizer_state) {
    if (slot.empty() || absl::StrContains(slot, '/')) {
      return absl::InvalidArgumentError(
          absl::StrCat("'", slot, "' cannot name a part of the optimiser's state"));
    }
    INNERLOOP_RETURN_IF_ERROR(
        AddTensors(checkpoint.layout, buffer, absl::StrCat(kStatePrefix, slot, "/"), tensors));
  }

  *checkpoint.metadata.mutable_layout() = checkpoint.layout.ToProto();
  checkpoint.metadata.set_parameters_sha256(
      ParametersSha256(checkpoint.layout, checkpoint.parameters.values()));
  std::string json;
  if (const auto printed = google::protobuf::util::MessageToJsonString(checkpoint.metadata, &json);
      !printed.ok()) {
    return Invalid(path, absl::StrCat("its metadata: ", std::string(printed.message())));
  }
  INNERLOOP_ASSIGN_OR_RETURN(SafeTensorsFile file,
                             BuildSafeTensors(tensors, {{"format", std::string(kFormat)},
                                                        {"checkpoint", json},
                                                        {"crc32c", "00000000"}}));
  SealCrc32c(file);
  std::vector<absl::string_view> pieces = {file.header};
  pieces.insert(pieces.end(), file.pieces.begin(), file.pieces.end());
  INNERLOOP_RETURN_IF_ERROR(files.Replace(path, pieces));
  return checkpoint.metadata.parameters_sha256();
}

absl::StatusOr<Checkpoint> ReadCheckpoint(const std::string& path) {
  INNERLOOP_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(path));
  INNERLOOP_ASSIGN_OR_RETURN(const SafeTensorsView view, ParseSealed(file.bytes(), kFormat, path));
  Checkpoint checkpoint;
  INNERLOOP_ASSIGN_OR_RETURN(checkpoint.metadata, ReadMetadata(view, path));
  absl::StatusOr<Layout> layout = Layout::Create(checkpoint.metadata.layout());
  if (!layout.ok()) {
    return Invalid(path, layout.status().message());
  }
  checkpoint.layout = *std::move(layout);

  TensorsByName tensors(view, path);
  INNERLOOP_ASSIGN_OR_RETURN(checkpoint.parameters, tensors.Take(checkpoint.layout, ""));
  while (tensors.size() > 0) {
    INNERLOOP_ASSIGN_OR_RETURN(const std::string slot, tensors.NextSlot());
    if (checkpoint.optimizer_state.count(slot) > 0) {
      return Invalid(path, absl::StrCat("the optimiser's state '", slot,
                                        "' has tensors that its layout lacks"));
    }
    INNERLOOP_ASSIGN_OR_RETURN(
        checkpoint.optimizer_state[slot],
        tensors.Take(checkpoint.layout, absl::StrCat(kStatePrefix, slot, "/")));
  }
  const std::string actual = ParametersSha256(checkpoint.layout, checkpoint.parameters.values());
  if (actual != checkpoint.metadata.parameters_sha256()) {
    return absl::DataLossError(absl::StrCat("checkpoint '", path,
                                            "' is damaged: its parameters' SHA-256 is ", actual,
                                            ", not ", checkpoint.metadata.parameters_sha256()));
  }
  return checkpoint;
}

std::string CheckpointFileName(uint64_t iteration) {
  return absl::StrFormat("checkpoint-%012d.safetensors", iteration);
}

}  // namespace innerloop
