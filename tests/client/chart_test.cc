#include "client/render/chart.h"

#include <cmath>
#include <limits>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_join.h"
#include "client/render/curve.h"
#include "client/render/live_line.h"
#include "client/render/progress.h"
#include "client/render/table.h"
#include "tests/core/support/manual_clock.h"

namespace innerloop::client {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

TEST(CurveTest, JoinsBucketsInPairsAndKeepsMinimumMaximumAndMean) {
  Curve curve(4);
  for (uint64_t i = 0; i < 10; ++i) {
    curve.Add(i, static_cast<double>(i));
  }
  EXPECT_EQ(curve.width(), 4);
  ASSERT_THAT(curve.buckets(), SizeIs(3));
  const CurveBucket& second = curve.buckets()[1];
  EXPECT_EQ(second.first_iteration, 4);
  EXPECT_EQ(second.last_iteration, 7);
  EXPECT_EQ(second.min, 4);
  EXPECT_EQ(second.max, 7);
  EXPECT_EQ(second.mean(), 5.5);
  EXPECT_EQ(curve.buckets()[2].count, 2);
}

TEST(CurveTest, HasAtMostItsBucketsHoweverFarApartIterationsAre) {
  Curve curve(2000);
  for (uint64_t i = 0; i < 3'000'000; i += 16) {
    curve.Add(i, 1);
  }
  EXPECT_THAT(curve.buckets(), SizeIs(testing::AllOf(testing::Gt(1000), testing::Le(2000))));
  Curve sparse(2);
  for (const uint64_t i : {uint64_t{0}, uint64_t{1} << 20, uint64_t{1} << 40}) {
    sparse.Add(i, 1);
  }
  EXPECT_THAT(sparse.buckets(), SizeIs(2));
}

TEST(CurveTest, CountsWhatIsNoNumberApart) {
  Curve curve(2);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (uint64_t i = 0; i < 8; ++i) {
    curve.Add(i, i < 4 ? 1 : i == 4 ? HUGE_VAL : nan);
  }
  ASSERT_THAT(curve.buckets(), SizeIs(2));
  EXPECT_EQ(curve.buckets()[0].mean(), 1);
  EXPECT_EQ(curve.buckets()[1].not_finite, 4);
  EXPECT_TRUE(std::isnan(curve.buckets()[1].mean()));
}

Chart Line(double from, double to, size_t points = 101) {
  Chart chart{.title = "meta-loss"};
  for (size_t i = 0; i < points; ++i) {
    const double x = static_cast<double>(i) / static_cast<double>(points - 1);
    chart.points.push_back({1000 * x, from + (to - from) * x});
  }
  return chart;
}

TEST(ChartTest, DrawsAFallingLine) {
  EXPECT_EQ(absl::StrJoin(DrawChart(Line(3, 1), 34, 8), "\n"),
            "        meta-loss\n"
            "3.0000 ┤⠉⠒⠢⢄⣀\n"
            "       │     ⠉⠑⠢⠤⣀\n"
            "2.0000 ┤          ⠉⠑⠒⠤⢄⣀\n"
            "       │                ⠉⠒⠢⢄⣀\n"
            "1.0000 ┤                     ⠉⠑⠢⠤⣀\n"
            "       └──────────────────────────\n"
            "        0          iteration 1,000");
}

TEST(ChartTest, WritesFractionsInPercent) {
  Chart chart = Line(0.2, 0.975, 11);
  chart.title = "accuracy";
  chart.percent = true;
  EXPECT_EQ(absl::StrJoin(DrawChart(chart, 34, 5), "\n"),
            "        accuracy\n"
            "97.5 % ┤             ⢀⣀⣀⣀⠤⠤⠤⠔⠒⠒⠒⠉⠉\n"
            "20.0 % ┤⣀⣀⠤⠤⠤⠔⠒⠒⠒⠉⠉⠉⠉⠁\n"
            "       └──────────────────────────\n"
            "        0          iteration 1,000");
}

TEST(ChartTest, PositiveValuesOfManyMagnitudesAreLogarithmic) {
  Chart chart{.title = "meta-loss"};
  for (int i = 0; i <= 60; ++i) {
    chart.points.push_back({static_cast<double>(i), std::pow(10, -i / 20.0)});
  }
  const std::vector<std::string> lines = DrawChart(chart, 40, 8);
  // A straight line through the middle, which is the geometric mean.
  EXPECT_THAT(lines[0], EndsWith("meta-loss (log scale)"));
  EXPECT_EQ(absl::StrJoin(lines, "\n"),
            "        meta-loss (log scale)\n"
            "1.0000 ┤⠉⠒⠢⠤⣀⣀⡀\n"
            "       │      ⠈⠉⠒⠢⠤⣀⡀\n"
            "0.0316 ┤            ⠈⠉⠒⠒⠤⠤⣀⡀\n"
            "       │                   ⠈⠉⠒⠢⠤⣀⡀\n"
            "0.0010 ┤                         ⠈⠉⠉⠒⠢⠤⣀\n"
            "       └────────────────────────────────\n"
            "        0                   iteration 60");
}

TEST(ChartTest, AConstantIsALineInTheMiddle) {
  EXPECT_EQ(absl::StrJoin(DrawChart(Line(0.5, 0.5, 2), 34, 6), "\n"),
            "        meta-loss\n"
            "       │\n"
            "0.5000 ┤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤⠤\n"
            "       │\n"
            "       └──────────────────────────\n"
            "        0          iteration 1,000");
}

TEST(ChartTest, LeavesOutWhatIsNoNumber) {
  Chart chart = Line(3, 1);
  const std::vector<std::string> whole = DrawChart(chart, 60, 10);
  chart.points[50].y = std::nan("");
  EXPECT_EQ(DrawChart(chart, 60, 10), whole);
  for (Chart::Point& point : chart.points) {
    point.y = HUGE_VAL;
  }
  EXPECT_THAT(DrawChart(chart, 60, 10), IsEmpty());
}

TEST(ChartTest, IsAsHighAsAskedForAndNeverWider) {
  for (size_t columns = 0; columns <= 200; ++columns) {
    for (const size_t rows : {0, 4, 5, 11, 24}) {
      const std::vector<std::string> lines = DrawChart(Line(12345, 0.001), columns, rows);
      EXPECT_THAT(lines, SizeIs(testing::AnyOf(0, rows)));
      for (const std::string& line : lines) {
        EXPECT_LE(DisplayWidth(line), columns);
        EXPECT_THAT(line, Not(EndsWith(" ")));
      }
    }
  }
  // Here the means' labels are as long as the width decides.
  Chart steep{.title = "meta-loss"};
  for (int i = 0; i < 1000; ++i) {
    steep.points.push_back({1.0 * i, 12 * std::exp(-i / 20.0) + 0.0009 + 0.0001 * std::cos(i)});
  }
  for (size_t columns = 40; columns <= 200; ++columns) {
    for (const std::string& line : DrawChart(steep, columns, 11)) {
      EXPECT_LE(DisplayWidth(line), columns);
    }
  }
  EXPECT_THAT(DrawChart(Line(3, 1), 40, 11), SizeIs(11));
  EXPECT_THAT(DrawChart(Line(3, 1), 30, 11), IsEmpty());
}

Curve CurveOf(const Chart& chart) {
  Curve curve(1024);
  for (const Chart::Point& point : chart.points) {
    curve.Add(static_cast<uint64_t>(point.x), point.y);
  }
  return curve;
}

TEST(TrainingCharts, AreSideBySideWhereThereIsRoomElseOneAboveTheOther) {
  const TrainingCurves job{.loss = CurveOf(Line(3, 1)), .accuracy = CurveOf(Line(0.2, 0.9))};
  const std::vector<std::string> wide = DrawTrainingCharts({job}, {120, 40});
  ASSERT_THAT(wide, SizeIs(11));
  EXPECT_THAT(wide[0], testing::AllOf(HasSubstr("meta-loss"), HasSubstr("accuracy")));
  const std::vector<std::string> narrow = DrawTrainingCharts({job}, {60, 40});
  ASSERT_THAT(narrow, SizeIs(14));
  EXPECT_THAT(narrow[0], HasSubstr("meta-loss"));
  EXPECT_THAT(narrow[7], HasSubstr("accuracy"));
  EXPECT_THAT(DrawTrainingCharts({job}, {60, 12}), SizeIs(7));
  EXPECT_THAT(DrawTrainingCharts({job}, {60, 6}), IsEmpty());
  EXPECT_THAT(DrawTrainingCharts({TrainingCurves{.loss = job.loss}}, {120, 40}), SizeIs(11));
  for (size_t columns = 40; columns <= 200; ++columns) {
    for (const std::string& line : DrawTrainingCharts({job}, {columns, 40})) {
      EXPECT_LT(DisplayWidth(line), columns);
    }
  }
}

TEST(TrainingCharts, OfSeveralJobsAreMeans) {
  TrainingCurves falling{.loss = CurveOf(Line(4, 2))};
  TrainingCurves rising{.loss = CurveOf(Line(0, 2))};
  // Their mean is a line from 2 to 2.
  const std::vector<std::string> lines = DrawTrainingCharts({falling, rising}, {90, 40});
  ASSERT_THAT(lines, SizeIs(11));
  EXPECT_THAT(lines[0], HasSubstr("meta-loss, mean of 2 jobs"));
  EXPECT_EQ(std::count_if(lines.begin(), lines.end(),
                          [](const std::string& line) { return absl::StrContains(line, "⠉"); }),
            1);
  EXPECT_THAT(lines[5], HasSubstr("2.0000 ┤⠉⠉⠉⠉⠉⠉⠉⠉"));
}

class LivePicture : public ::testing::Test {
 protected:
  LiveLine::Picture Two() {
    return [](TerminalSize) { return std::vector<std::string>{"curve", "axis"}; };
  }

  std::ostringstream out_;
  ManualClock clock_;
  TerminalSize size_{20, 24};
};

TEST_F(LivePicture, IsDrawnOverInPlaceAtMostFourTimesASecondAndStays) {
  {
    LiveLine line(
        {.out = &out_, .terminal = true, .size = [this] { return size_; }, .clock = &clock_});
    line.Update("one", false, Two());
    clock_.Advance(absl::Milliseconds(240));
    line.Update("too early", false, Two());
    clock_.Advance(absl::Milliseconds(20));
    line.Update("two", false, Two());
    line.Print("warning");
  }
  EXPECT_EQ(out_.str(),
            "curve\naxis\none"
            "\r\x1b[2A\r\x1b[Jcurve\naxis\ntwo"
            "\r\x1b[2A\r\x1b[Jwarning\ncurve\naxis\ntwo"
            "\r\x1b[2A\r\x1b[Jcurve\naxis\n");
}

TEST_F(LivePicture, IsErasedAlsoWhereANarrowerTerminalHasWrappedIt) {
  LiveLine line(
      {.out = &out_, .terminal = true, .size = [this] { return size_; }, .clock = &clock_});
  line.Update("one", true, Two());
  size_.columns = 3;
  out_.str("");
  line.Update("two", true, {});
  // "curve" takes two rows now, and so does "axis".
  EXPECT_THAT(out_.str(), StartsWith("\r\x1b[4A\r\x1b[J"));
}

TEST_F(LivePicture, IsNotDrawnWithoutATerminal) {
  LiveLine line({.out = &out_, .clock = &clock_});
  Progress progress(line, /*chart=*/true);
  v1::JobEvents events;
  events.add_iterations()->set_meta_loss(1);
  progress.OnEvents(events);
  EXPECT_EQ(out_.str(), "iteration 1, meta-loss 1.0000\n");
}

TEST_F(LivePicture, ShowsAJobsCurves) {
  size_ = {100, 30};
  LiveLine line(
      {.out = &out_, .terminal = true, .size = [this] { return size_; }, .clock = &clock_});
  Progress progress(line, /*chart=*/true);
  v1::JobEvents events;
  for (int i = 0; i < 100; ++i) {
    auto* record = events.add_iterations();
    record->set_iteration(i);
    record->set_meta_loss(2 - 0.01 * i);
    record->set_meta_accuracy(0.005 * i);
  }
  progress.OnEvents(events);
  EXPECT_THAT(out_.str(), HasSubstr("meta-loss"));
  EXPECT_THAT(out_.str(), HasSubstr("49.5 %"));
}

}  // namespace
}  // namespace innerloop::client
