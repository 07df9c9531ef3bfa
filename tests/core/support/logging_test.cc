#include "core/support/logging.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>
#include <nlohmann/json.hpp>

namespace innerloop {
namespace {

using ::testing::HasSubstr;

// What the program writes to standard error.
std::string Logged(const LogOptions& options) {
  ::testing::internal::CaptureStderr();
  EXPECT_TRUE(SetUpLogging(options).ok());
  spdlog::debug("not this");
  spdlog::warn("worker '{}' said \"{}\"\n", 7, "\xff");
  return ::testing::internal::GetCapturedStderr();
}

TEST(LoggingTest, JsonHasOneObjectALineWhateverIsLogged) {
  const std::string text = Logged({.level = "info", .format = "json", .program = "test"});
  ASSERT_EQ(std::count(text.begin(), text.end(), '\n'), 1) << text;
  const nlohmann::json line = nlohmann::json::parse(text);
  EXPECT_EQ(line["level"], "warning");
  EXPECT_EQ(line["program"], "test");
  EXPECT_THAT(line["message"].get<std::string>(), HasSubstr("worker '7' said \""));
  EXPECT_EQ(line["time"].get<std::string>().size(),
            std::string("2026-01-01T00:00:00.000000Z").size());
}

TEST(LoggingTest, TextTellsProgramAndLevel) {
  const std::string text = Logged({.level = "warning", .format = "text", .program = "test"});
  EXPECT_THAT(text, HasSubstr(" test warning: worker '7' said"));
  EXPECT_THAT(text, ::testing::Not(HasSubstr("not this")));
}

TEST(LoggingTest, UnknownLevelsAndFormatsAreRefusedWithTheKnownOnes) {
  EXPECT_THAT(std::string(SetUpLogging({.level = "loud"}).message()),
              HasSubstr("unknown log level 'loud'; known: trace, debug, info"));
  EXPECT_THAT(std::string(SetUpLogging({.format = "xml"}).message()),
              HasSubstr("unknown log format 'xml'; known: text, json"));
}

}  // namespace
}  // namespace innerloop
