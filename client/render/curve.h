// A measure over a job's iterations, thinned while it comes in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace innerloop::client {

// What the iterations of one bucket measured. Values that are no finite numbers count apart.
struct CurveBucket {
  // Of those that measured it.
  uint64_t first_iteration = 0;
  uint64_t last_iteration = 0;
  double min = 0;
  double max = 0;
  double sum = 0;
  uint64_t count = 0;
  uint64_t not_finite = 0;

  // Of the finite values; not a number when there are none.
  double mean() const;
};

// Buckets are `width` iterations wide, begin at multiples of it, and are joined in pairs when they
// become too many: curves of jobs with as many iterations have the same buckets. One thread only.
class Curve {
 public:
  // Never more buckets than that; at least 2.
  explicit Curve(size_t most_buckets) : most_(most_buckets) {}

  // Iterations come in order.
  void Add(uint64_t iteration, double value);

  const std::vector<CurveBucket>& buckets() const { return buckets_; }
  // A power of two.
  uint64_t width() const { return width_; }

 private:
  void Halve();

  const size_t most_;
  uint64_t width_ = 1;
  std::vector<CurveBucket> buckets_;
};

}  // namespace innerloop::client
