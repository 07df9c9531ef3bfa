// Functions whose bits must not depend on the machine's math library, which picks other code on
// processors with fused multiply-add. Files that include this are compiled without contraction.
#pragma once

#include <cstdint>

namespace innerloop::server {

// base^exponent by repeated squaring.
inline double IntegerPower(double base, uint64_t exponent) {
  double result = 1;
  for (; exponent != 0; exponent >>= 1) {
    if ((exponent & 1) != 0) {
      result *= base;
    }
    base *= base;
  }
  return result;
}

// cos(pi * x) for x in 0..1, to a few units in the last place.
inline double CosPi(double x) {
  if (x > 0.5) {
    return -CosPi(1 - x);
  }
  const double angle = 3.14159265358979323846 * x;
  const double square = angle * angle;
  // The Taylor series, innermost term first; the first term left out is below 1e-21.
  double sum = 1;
  for (int k = 24; k > 0; k -= 2) {
    sum = 1 - square / (k * (k - 1)) * sum;
  }
  return sum;
}

}  // namespace innerloop::server
