// Safetensors files as such, and as checkpoints and data sets.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/checkpoint/checkpoint.h"
#include "core/dataset/dataset.h"
#include "core/support/checksum.h"
#include "core/tensor/safetensors.h"

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

// A file in memory, with a path.
class MemoryFile {
 public:
  explicit MemoryFile(const std::string& bytes) : descriptor_(memfd_create("fuzz", MFD_CLOEXEC)) {
    if (descriptor_ < 0 ||
        write(descriptor_, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) {
      std::abort();
    }
  }
  ~MemoryFile() { close(descriptor_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  std::string path() const { return absl::StrCat("/proc/self/fd/", descriptor_); }

 private:
  int descriptor_;
};

// Reads every byte that a data set gives access to.
uint64_t Touch(const innerloop::Dataset& dataset) {
  uint64_t sum = 0;
  for (uint32_t c = 0; c < dataset.classes(); ++c) {
    for (int64_t i = dataset.class_begin(c); i < dataset.class_begin(c + 1); ++i) {
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
  const MemoryFile file(bytes);
  (void)innerloop::ReadCheckpoint(file.path());
  if (const auto dataset = innerloop::Dataset::Open(file.path()); dataset.ok()) {
    volatile uint64_t sum = Touch(**dataset);
    (void)sum;
  }
  return 0;
}
