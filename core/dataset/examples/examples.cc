#include "core/dataset/examples/examples.h"

#include <array>

namespace innerloop {

absl::Span<const ExampleData> ExampleDataSets() {
  static constexpr std::array<ExampleData, 4> kAll = {{
      {"molecules", "400 assays: is a molecule active, given its fingerprint of 64 bits?",
       MakeMolecules},
      {"machines", "150 machines: which fault does a window of vibration show, given its spectrum?",
       MakeMachines},
      {"ratings", "300 users: how does one rate an item, given its 16 properties?", MakeRatings},
      {"handwriting", "200 writers: which digit is it, given 12 x 12 pixels?", MakeHandwriting},
  }};
  return kAll;
}

}  // namespace innerloop
