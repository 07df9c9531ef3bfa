#include "core/support/time_span.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace innerloop {
namespace {

using ::testing::HasSubstr;

TEST(ParseTimeSpan, TakesDaysAndWhatAbseilTakes) {
  EXPECT_EQ(*ParseTimeSpan("30d"), absl::Hours(720));
  EXPECT_EQ(*ParseTimeSpan("1h30m"), absl::Minutes(90));
  EXPECT_EQ(*ParseTimeSpan("250ms"), absl::Milliseconds(250));
  EXPECT_EQ(*ParseTimeSpan("0"), absl::ZeroDuration());
  EXPECT_EQ(*ParseTimeSpan("0d"), absl::ZeroDuration());
}

TEST(ParseTimeSpan, SaysWhatATimeIs) {
  for (const char* text : {"", "soon", "90", "-1h", "-3d", "d", "1.5d", "4294967296d"}) {
    const absl::StatusOr<absl::Duration> span = ParseTimeSpan(text);
    EXPECT_EQ(span.status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(span.status().message()), HasSubstr("30d")) << text;
  }
}

}  // namespace
}  // namespace innerloop
