// Curves in a terminal, drawn with Braille patterns: 2 x 4 dots a character.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "client/render/curve.h"
#include "client/render/live_line.h"
#include "innerloop/v1/training.pb.h"

namespace innerloop::client {

struct Chart {
  std::string title;
  // Values are fractions, written in percent.
  bool percent = false;
  // Sorted by x; values that are not finite are left out.
  struct Point {
    double x = 0;
    double y = 0;
  };
  std::vector<Point> points;
};

// Exactly `rows` lines, none wider than `columns`, without trailing spaces: title, plot, axis and
// the ends of the x axis. Positive values that span more than a factor of 20 are drawn on a
// logarithmic scale, and the title says so. Empty when there are no points or too little room.
std::vector<std::string> DrawChart(const Chart& chart, size_t columns, size_t rows);

// A job's curves.
struct TrainingCurves {
  void Add(const v1::IterationRecord& record);

  // More buckets than a terminal has dots across.
  Curve loss{1024};
  Curve accuracy{1024};
};

// Means over the jobs of meta-loss and, where there is any, accuracy: side by side where the
// terminal is wide enough, else one above the other. Leaves room for a line below. Empty as above.
std::vector<std::string> DrawTrainingCharts(absl::Span<const TrainingCurves> jobs,
                                            TerminalSize size);

}  // namespace innerloop::client
