// Thinning of what iterations measured: a curve needs no thousand points a second.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "innerloop/v1/training.pb.h"

namespace innerloop::server {

// A measure's mean over the iterations of a window.
struct MeanMeasure {
  std::string tag;
  // What it is, with its unit.
  std::string description;
  double value = 0;
};

// A point of every measure that the window has.
struct IterationMeans {
  // Iterations done at the window's end, and the seconds of training then.
  uint64_t step = 0;
  double seconds = 0;
  std::vector<MeanMeasure> measures;
};

// Takes a job's iterations in order; its windows last a second of training or an iteration,
// whichever is longer. Thread-compatible.
class IterationWindows {
 public:
  // The window that the iteration ends, if it does. The first iteration is a window of its own.
  std::optional<IterationMeans> Add(const v1::IterationRecord& record);
  // What is left, as a window that ends early.
  std::optional<IterationMeans> Rest();

 private:
  static constexpr size_t kMeasures = 7;
  struct Sum {
    double sum = 0;
    uint64_t count = 0;
  };

  std::array<Sum, kMeasures> sums_;
  // Last iteration added, and last one of the window before.
  std::optional<v1::IterationRecord> last_;
  std::optional<v1::IterationRecord> closed_;
};

}  // namespace innerloop::server
