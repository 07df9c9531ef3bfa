// Molecules are sets of fragments; a fragment sets a few bits of the fingerprint. Each assay is
// about a target that some fragments bind to and others keep away from: which ones differs from
// assay to assay, that there are the same eight fragments behind all does not.
#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "core/dataset/examples/examples.h"
#include "core/dataset/examples/table_text.h"
#include "core/support/random.h"

namespace innerloop {
namespace {

constexpr int kAssays = 400;
constexpr int kMolecules = 50;  // of each assay
constexpr int kFragments = 8;
constexpr size_t kBits = 64;
constexpr size_t kBitsOfFragment = 6;
constexpr double kFragmentShare = 0.4;
constexpr double kStrayBitShare = 0.04;
constexpr double kMissingBitShare = 0.05;
constexpr double kWrongLabelShare = 0.04;

using Present = std::array<bool, kFragments>;
using Affinities = std::array<double, kFragments>;

// Three or four fragments matter, each in favour or against; the first two tend to favour binding
// in every assay.
Affinities DrawAffinities(CounterRandom& random) {
  Affinities affinities{};
  for (const uint64_t fragment : random.Sample(kFragments, 3 + random.Below(2))) {
    const double in_favour = fragment < 2 ? 0.9 : 0.5;
    affinities[fragment] = (random.Uniform() < in_favour ? 1 : -1) * random.Uniform(0.7, 1.3);
  }
  return affinities;
}

double Score(const Affinities& affinities, const Present& present) {
  double score = 0;
  for (size_t f = 0; f < affinities.size(); ++f) {
    score += present[f] ? affinities[f] : 0;
  }
  return score;
}

}  // namespace

std::string MakeMolecules(uint64_t seed) {
  CounterRandom chemistry(seed, RandomPurpose::kExampleData);
  std::array<std::vector<uint64_t>, kFragments> bits_of;
  for (std::vector<uint64_t>& bits : bits_of) {
    bits = chemistry.Sample(kBits, kBitsOfFragment);
  }
  TableText table("assay", "bit", kBits, "active");
  for (int assay = 0; assay < kAssays; ++assay) {
    CounterRandom random(seed, RandomPurpose::kExampleData, 1, static_cast<uint64_t>(assay));
    const Affinities affinities = DrawAffinities(random);
    std::vector<Present> molecules(kMolecules);
    std::vector<double> scores;
    for (Present& present : molecules) {
      for (bool& fragment : present) {
        fragment = random.Uniform() < kFragmentShare;
      }
      // A little noise breaks ties: fragments are few.
      scores.push_back(Score(affinities, present) + 0.05 * random.Normal());
    }
    // Screens report the better half as active.
    std::vector<double> sorted = scores;
    std::nth_element(sorted.begin(), sorted.begin() + kMolecules / 2, sorted.end());
    const double threshold = sorted[kMolecules / 2];
    for (size_t m = 0; m < molecules.size(); ++m) {
      std::vector<double> fingerprint(kBits);
      for (double& bit : fingerprint) {
        bit = random.Uniform() < kStrayBitShare ? 1 : 0;
      }
      for (size_t f = 0; f < kFragments; ++f) {
        for (const uint64_t bit : bits_of[f]) {
          if (molecules[m][f] && random.Uniform() >= kMissingBitShare) {
            fingerprint[bit] = 1;
          }
        }
      }
      const bool wrong = random.Uniform() < kWrongLabelShare;
      table.Add(absl::StrFormat("assay-%03d", assay), fingerprint,
                (scores[m] >= threshold) != wrong ? "yes" : "no");
    }
  }
  return table.Take();
}

}  // namespace innerloop
