#include <cstdint>
#include <cstdlib>

#include "core/dataset/idx.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (const auto array = innerloop::ParseIdx(bytes); array.ok()) {
    int64_t values = 1;
    for (const int64_t dimension : array->shape) {
      values *= dimension;
    }
    if (values != static_cast<int64_t>(array->values.size()) ||
        array->values.data() + array->values.size() != data + size) {
      std::abort();
    }
  }
  return 0;
}
