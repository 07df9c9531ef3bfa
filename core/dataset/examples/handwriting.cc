// Digits as strokes of a pen. A writer has a slant, a width, a pen, and for some digits one of two
// habits, which for two writers may look alike and mean different digits: who writes 1 with a long
// flag crosses the 7, who writes 1 as a plain stroke writes 7 like others' 1; a closed 4 and an
// open 9 are much the same. A row is 12 x 12 pixels of ink, 0 to 1.
#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <vector>

#include "core/dataset/examples/examples.h"
#include "core/dataset/examples/table_text.h"
#include "core/support/random.h"

namespace innerloop {
namespace {

constexpr int kWriters = 200;
constexpr int kSamplesOfDigit = 5;
constexpr int kSide = 12;
constexpr double kPi = std::numbers::pi;

// In a square from (0, 0), top left, to (1, 1).
struct Point {
  double x;
  double y;
};
using Stroke = std::vector<Point>;
using Strokes = std::vector<Stroke>;

// Part of an ellipse, from angle `from` to `to` in half turns; 0 is right, 0.5 is below.
Stroke Arc(Point center, double rx, double ry, double from, double to) {
  constexpr int kPieces = 10;
  Stroke stroke;
  for (int i = 0; i <= kPieces; ++i) {
    const double angle = kPi * (from + (to - from) * i / kPieces);
    stroke.push_back({center.x + rx * std::cos(angle), center.y + ry * std::sin(angle)});
  }
  return stroke;
}

Strokes Digit(int digit, bool habit) {
  const Stroke flag_and_stem = {{0.25, 0.25}, {0.6, 0.02}, {0.5, 1}};
  switch (digit) {
    case 0:
      return {Arc({0.5, 0.5}, 0.35, 0.5, 0, 2)};
    case 1:
      return habit ? Strokes{flag_and_stem} : Strokes{{{0.5, 0}, {0.5, 1}}};
    case 2:
      return habit ? Strokes{{{0.15, 0.05}, {0.85, 0.05}, {0.15, 0.95}, {0.85, 0.95}}}
                   : Strokes{Arc({0.5, 0.28}, 0.33, 0.28, -1, 0.2),
                             {{0.77, 0.44}, {0.15, 1}, {0.85, 1}}};
    case 3:
      return habit ? Strokes{{{0.15, 0.05}, {0.8, 0.05}, {0.45, 0.4}},
                             Arc({0.45, 0.7}, 0.37, 0.3, -0.5, 0.8)}
                   : Strokes{Arc({0.45, 0.26}, 0.32, 0.26, -0.8, 0.5),
                             Arc({0.45, 0.75}, 0.37, 0.25, -0.5, 0.8)};
    case 4:
      return habit ? Strokes{{{0.75, 0}, {0.2, 0.5}, {0.75, 0.5}}, {{0.75, 0}, {0.7, 1}}}
                   : Strokes{{{0.25, 0}, {0.2, 0.5}, {0.8, 0.5}}, {{0.75, 0.1}, {0.7, 1}}};
    case 5:
      return {{{0.8, 0.02}, {0.25, 0.02}, {0.22, 0.42}}, Arc({0.45, 0.7}, 0.37, 0.3, -0.7, 0.8)};
    case 6:
      return habit ? Strokes{{{0.3, 0}, {0.2, 0.7}}, Arc({0.5, 0.72}, 0.3, 0.28, 0, 2)}
                   : Strokes{Arc({0.75, 0.7}, 0.6, 0.7, -1, -0.5),
                             Arc({0.48, 0.72}, 0.32, 0.28, 0, 2)};
    case 7:
      return habit ? Strokes{{{0.15, 0.05}, {0.85, 0.05}, {0.4, 1}}, {{0.35, 0.5}, {0.8, 0.5}}}
                   : Strokes{flag_and_stem};
    case 8:
      return {Arc({0.5, 0.26}, 0.28, 0.26, 0, 2), Arc({0.5, 0.75}, 0.34, 0.25, 0, 2)};
    default:
      return habit ? Strokes{{{0.25, 0.05}, {0.2, 0.45}, {0.75, 0.48}}, {{0.75, 0.05}, {0.7, 1}}}
                   : Strokes{Arc({0.48, 0.28}, 0.3, 0.28, 0, 2), {{0.78, 0.28}, {0.7, 1}}};
  }
}

struct Writer {
  double slant;  // x for each y
  double width;  // of digits
  double height;
  double pen;  // half the width of a stroke
  std::array<bool, 10> habits;
  std::array<Point, 10> shift;  // how the writer bends each digit
};

Writer DrawWriter(CounterRandom& random) {
  Writer writer{.slant = random.Uniform(-0.35, 0.45),
                .width = random.Uniform(0.5, 0.85),
                .height = random.Uniform(0.65, 0.9),
                .pen = random.Uniform(0.045, 0.08)};
  for (bool& habit : writer.habits) {
    habit = random.Uniform() < 0.5;
  }
  writer.habits[7] = writer.habits[1];   // a flag on the 1 wants a bar through the 7
  writer.habits[9] = !writer.habits[4];  // and an open 9 a closed 4
  for (Point& shift : writer.shift) {
    shift = {0.2 * random.Normal(), 0.2 * random.Normal()};
  }
  return writer;
}

// Where a point of a digit comes to lie on the paper.
Point OnPaper(const Writer& writer, const Point& bend, Point point) {
  const double x = point.x - 0.5;
  const double y = point.y - 0.5;
  const double bent = x + bend.x * (4 * y * y - 0.5) + bend.y * x * y;
  return {0.5 + writer.width * bent - writer.slant * y * writer.height, 0.5 + writer.height * y};
}

double Distance(Point p, Point a, Point b) {
  const double dx = b.x - a.x;
  const double dy = b.y - a.y;
  const double along = ((p.x - a.x) * dx + (p.y - a.y) * dy) / (dx * dx + dy * dy);
  const double t = std::clamp(along, 0.0, 1.0);
  return std::hypot(p.x - a.x - t * dx, p.y - a.y - t * dy);
}

std::vector<double> Draw(const Writer& writer, int digit, CounterRandom& random) {
  const auto place = static_cast<size_t>(digit);
  const Point offset = {0.05 * random.Normal(), 0.05 * random.Normal()};
  Strokes strokes = Digit(digit, writer.habits[place]);
  for (Stroke& stroke : strokes) {
    for (Point& point : stroke) {
      const Point shaken = {point.x + 0.025 * random.Normal(), point.y + 0.025 * random.Normal()};
      point = OnPaper(writer, writer.shift[place], shaken);
      point = {point.x + offset.x, point.y + offset.y};
    }
  }
  std::vector<double> pixels;
  for (int row = 0; row < kSide; ++row) {
    for (int column = 0; column < kSide; ++column) {
      const Point center = {(column + 0.5) / kSide, (row + 0.5) / kSide};
      double nearest = 1;
      for (const Stroke& stroke : strokes) {
        for (size_t i = 0; i + 1 < stroke.size(); ++i) {
          nearest = std::min(nearest, Distance(center, stroke[i], stroke[i + 1]));
        }
      }
      // Ink fades over a pixel's width at the edge of the stroke.
      const double ink = std::clamp(1 - (nearest - writer.pen) * kSide, 0.0, 1.0);
      const double paper = 0.15 * random.Normal();
      pixels.push_back(std::round(100 * std::clamp(ink + paper, 0.0, 1.0)) / 100);
    }
  }
  return pixels;
}

}  // namespace

std::string MakeHandwriting(uint64_t seed) {
  TableText table("writer", "pixel", kSide * kSide, "digit");
  for (int w = 0; w < kWriters; ++w) {
    CounterRandom random(seed, RandomPurpose::kExampleData, 0, static_cast<uint64_t>(w));
    const Writer writer = DrawWriter(random);
    for (int digit = 0; digit < 10; ++digit) {
      for (int sample = 0; sample < kSamplesOfDigit; ++sample) {
        table.Add(absl::StrFormat("writer-%03d", w), Draw(writer, digit, random),
                  absl::StrCat(digit));
      }
    }
  }
  return table.Take();
}

}  // namespace innerloop
