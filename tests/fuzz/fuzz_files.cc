// Safetensors files as such, and as checkpoints and data sets.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/checkpoint/checkpoint.h"
#include "core/dataset/dataset.h"
#include "core/support/checksum.h"
#include "core/tensor/safetensors.h"
#include "tests/fuzz/memory_file.h"

namespace {

// Most inputs would end at the checksum: puts the right one in.
void Seal(std::string& file) {
  const std::string key = "\"crc32c\":\"";
  const size_t found = file.find(key);
  if (found == std::string::npos || file.size() - found < key.size() + 8) {
    return;
  }
  file.replace(found + key.size(), 8, "00000000");
  file.replace(found + key.size(), 8,
               absl::StrCat(absl::Hex(innerloop::Crc32c(file), absl::kZeroPad8)));
}

// Reads every byte that a data set gives access to.
uint64_t Touch(const innerloop::Dataset& dataset) {
  uint64_t sum = 0;
  const bool grouped = dataset.grouped();
  const auto units =
      static_cast<uint32_t>(grouped ? dataset.group_names().size() : dataset.classes());
  const auto begin = [&](uint32_t unit) {
    return grouped ? dataset.group_begin(unit) : dataset.class_begin(unit);
  };
  for (uint32_t unit = 0; unit < units; ++unit) {
    for (int64_t i = begin(unit); i < begin(unit + 1); ++i) {
      if (dataset.target_size() > 0) {
        for (const float value : dataset.TargetAt(i)) {
          sum += value > 0 ? 1 : 0;
        }
      } else {
        sum += dataset.class_names()[static_cast<size_t>(dataset.LabelAt(i))].size();
      }
      if (dataset.images()) {
        for (const uint8_t value : dataset.ImageAt(i)) {
          sum += value;
        }
      } else {
        for (const float value : dataset.FeaturesAt(i)) {
          sum += value > 0 ? 1 : 0;
        }
      }
    }
  }
  return sum + static_cast<uint64_t>(dataset.Describe().ByteSizeLong());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string bytes(reinterpret_cast<const char*>(data), size);
  Seal(bytes);
  if (const auto view = innerloop::ParseSafeTensors(bytes, "fuzz"); view.ok()) {
    volatile uint32_t crc = 0;
    for (const innerloop::SafeTensor& tensor : view->tensors) {
      crc = innerloop::Crc32c(tensor.bytes, crc);
    }
    // What parses can be written again.
    if (!innerloop::BuildSafeTensors(view->tensors, view->metadata).ok()) {
      std::abort();
    }
  }
  const innerloop::MemoryFile file(bytes);
  (void)innerloop::ReadCheckpoint(file.path());
  if (const auto dataset = innerloop::Dataset::Open(file.path()); dataset.ok()) {
    volatile uint64_t sum = Touch(**dataset);
    (void)sum;
  }
  return 0;
}
