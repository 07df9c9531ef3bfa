// Small made-up data sets in the shape of real applications, to try grouped tasks on. Everything in
// them is drawn at random from rules that the sources state; no figure on them says anything about
// real molecules, machines, people or handwriting.
#pragma once

#include <cstdint>
#include <string>

#include "absl/types/span.h"

namespace innerloop {

struct ExampleData {
  const char* name;
  const char* description;
  // CSV text: a function of the seed.
  std::string (*make)(uint64_t seed);
};
absl::Span<const ExampleData> ExampleDataSets();

std::string MakeMolecules(uint64_t seed);
std::string MakeMachines(uint64_t seed);
std::string MakeRatings(uint64_t seed);
std::string MakeHandwriting(uint64_t seed);

}  // namespace innerloop
