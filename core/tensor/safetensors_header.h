// The JSON header of a safetensors file, read strictly.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace innerloop {

// What the header says, not yet checked against the data.
struct SafeTensorsHeader {
  struct Tensor {
    std::string name;
    std::string type;
    std::vector<uint64_t> shape;
    std::vector<uint64_t> data_offsets;  // begin and end, from the end of the header
  };
  std::vector<Tensor> tensors;
  std::map<std::string, std::string> metadata;
};

// Takes exactly {"__metadata__": {string: string, ...}, name: {"dtype": string, "shape": [...],
// "data_offsets": [begin, end]}, ...} in any order; memory in proportion to the text, no recursion.
// INVALID_ARGUMENT: one line that says what is wrong, without the file's name.
absl::StatusOr<SafeTensorsHeader> ReadSafeTensorsHeader(absl::string_view json);

}  // namespace innerloop
