// Counter-based random numbers: a stream is a pure function of its key, so that any worker draws
// the same task.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace innerloop {

// What a stream is for; part of its key, so that streams never meet.
enum class RandomPurpose : uint32_t {
  kTask = 1,            // key: split, iteration, task
  kInitialisation = 2,  // key: tensor index
  kClassSplit = 3,
  kInnerBatches = 4,  // key: split, iteration, task
  kCommonMap = 5,
  kExampleData = 6,  // key: what, number
};

// The bijection Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC
// 2011): four random words for each counter and key.
std::array<uint32_t, 4> Philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

// A stream of Philox4x32's words, keyed by a seed and up to three coordinates. Every function of
// the class gives the same values on every machine, except Normal(), which uses the math library's
// log and cos. Thread-compatible.
class CounterRandom {
 public:
  // The stream of (seed, purpose, a, b, c); a < 2^24, b any, c < 2^32. Up to 2^34 numbers can be
  // drawn from it.
  CounterRandom(uint64_t seed, RandomPurpose purpose, uint32_t a = 0, uint64_t b = 0,
                uint32_t c = 0);

  // Uniform over all 32-bit values.
  uint32_t NextU32() {
    if (used_ == 4) {
      Refill();
    }
    return block_[used_++];
  }
  uint64_t NextU64();
  // Uniform in [0, 1), a multiple of 2^-24.
  float UniformFloat() { return static_cast<float>(NextU32() >> 8) * 0x1.0p-24F; }
  // Uniform in [0, 1), a multiple of 2^-53.
  double Uniform() { return static_cast<double>(NextU64() >> 11) * 0x1.0p-53; }
  // Uniform in [low, high).
  double Uniform(double low, double high) { return low + (high - low) * Uniform(); }
  // Uniform in 0..bound-1 without bias; bound > 0.
  uint64_t Below(uint64_t bound);
  // Standard normal (Box & Muller 1958).
  double Normal();
  // `count` different values of 0..population-1 in random order; count <= population. Time and
  // memory O(count).
  std::vector<uint64_t> Sample(uint64_t population, uint64_t count);
  // All of 0..population-1 in random order.
  std::vector<uint64_t> Permutation(uint64_t population) { return Sample(population, population); }

 private:
  void Refill();

  std::array<uint32_t, 2> key_;
  std::array<uint32_t, 4> counter_;
  std::array<uint32_t, 4> block_{};
  int used_ = 4;
  bool has_spare_ = false;
  double spare_ = 0;
};

}  // namespace innerloop
