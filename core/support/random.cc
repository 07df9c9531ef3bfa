#include "core/support/random.h"

#include <cmath>
#include <unordered_map>

namespace innerloop {
namespace {

constexpr uint32_t kMultiplier0 = 0xD2511F53;
constexpr uint32_t kMultiplier1 = 0xCD9E8D57;
constexpr uint32_t kWeyl0 = 0x9E3779B9;
constexpr uint32_t kWeyl1 = 0xBB67AE85;
constexpr double kTwoPi = 6.283185307179586476925286766559;

}  // namespace

std::array<uint32_t, 4> Philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = uint64_t{kMultiplier0} * counter[0];
    const uint64_t product1 = uint64_t{kMultiplier1} * counter[2];
    counter = {static_cast<uint32_t>(product1 >> 32) ^ counter[1] ^ key[0],
               static_cast<uint32_t>(product1),
               static_cast<uint32_t>(product0 >> 32) ^ counter[3] ^ key[1],
               static_cast<uint32_t>(product0)};
    key[0] += kWeyl0;
    key[1] += kWeyl1;
  }
  return counter;
}

// The four counter words hold 32 bits of position, then c and b. The purpose and a do not fit
// there: one application of the same function mixes them with the seed into the key.
CounterRandom::CounterRandom(uint64_t seed, RandomPurpose purpose, uint32_t a, uint64_t b,
                             uint32_t c) {
  const std::array<uint32_t, 4> mixed =
      Philox4x32({static_cast<uint32_t>(purpose), a, 0, 0},
                 {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
  key_ = {mixed[0], mixed[1]};
  counter_ = {0, c, static_cast<uint32_t>(b), static_cast<uint32_t>(b >> 32)};
}

void CounterRandom::Refill() {
  block_ = Philox4x32(counter_, key_);
  ++counter_[0];
  used_ = 0;
}

uint64_t CounterRandom::NextU64() {
  const uint64_t high = NextU32();
  return high << 32 | NextU32();
}

uint64_t CounterRandom::Below(uint64_t bound) {
  // Values from the incomplete last run of `bound` would be favoured: draw again.
  const uint64_t rejected = (0 - bound) % bound;  // 2^64 mod bound
  for (;;) {
    const uint64_t value = NextU64();
    if (value >= rejected) {
      return value % bound;
    }
  }
}

double CounterRandom::Normal() {
  if (has_spare_) {
    has_spare_ = false;
    return spare_;
  }
  const double radius = std::sqrt(-2 * std::log(1 - Uniform()));
  const double angle = kTwoPi * Uniform();
  spare_ = radius * std::sin(angle);
  has_spare_ = true;
  return radius * std::cos(angle);
}

std::vector<uint64_t> CounterRandom::Sample(uint64_t population, uint64_t count) {
  // Fisher & Yates's shuffle of which only the moved entries are stored.
  std::unordered_map<uint64_t, uint64_t> moved;
  std::vector<uint64_t> sample(count);
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t j = i + Below(population - i);
    const auto at = [&](uint64_t index) {
      const auto found = moved.find(index);
      return found == moved.end() ? index : found->second;
    };
    sample[i] = at(j);
    moved[j] = at(i);
  }
  return sample;
}

}  // namespace innerloop
