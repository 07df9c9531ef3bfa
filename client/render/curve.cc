#include "client/render/curve.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace innerloop::client {
namespace {

void Join(const CurveBucket& from, CurveBucket& into) {
  into.last_iteration = from.last_iteration;
  into.not_finite += from.not_finite;
  if (from.count > 0) {
    into.min = into.count > 0 ? std::min(into.min, from.min) : from.min;
    into.max = into.count > 0 ? std::max(into.max, from.max) : from.max;
    into.sum += from.sum;
    into.count += from.count;
  }
}

}  // namespace

double CurveBucket::mean() const {
  return count > 0 ? sum / static_cast<double>(count) : std::numeric_limits<double>::quiet_NaN();
}

void Curve::Add(uint64_t iteration, double value) {
  CurveBucket bucket{.first_iteration = iteration, .last_iteration = iteration};
  if (std::isfinite(value)) {
    bucket.min = bucket.max = bucket.sum = value;
    bucket.count = 1;
  } else {
    bucket.not_finite = 1;
  }
  const auto joins_last = [&] {
    return !buckets_.empty() && buckets_.back().first_iteration / width_ == iteration / width_;
  };
  while (!joins_last() && buckets_.size() >= most_) {
    Halve();
  }
  if (joins_last()) {
    Join(bucket, buckets_.back());
  } else {
    buckets_.push_back(bucket);
  }
}

void Curve::Halve() {
  width_ *= 2;
  size_t kept = 0;
  for (size_t i = 1; i < buckets_.size(); ++i) {
    if (buckets_[i].first_iteration / width_ == buckets_[kept].first_iteration / width_) {
      Join(buckets_[i], buckets_[kept]);
    } else {
      buckets_[++kept] = buckets_[i];
    }
  }
  buckets_.resize(kept + 1);
}

}  // namespace innerloop::client
