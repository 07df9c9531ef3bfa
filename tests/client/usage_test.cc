// How the program answers what it is called with: bad usage, help, what cannot be written.
#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "client/command_line.h"
#include "core/support/clock.h"
#include "tests/client/test_files.h"

namespace innerloop::client {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

struct BadUsage {
  std::vector<std::string> arguments;
  std::string message;
};
class BadUsageTest : public ::testing::TestWithParam<BadUsage> {};

TEST_P(BadUsageTest, IsOneLineAndCodeTwo) {
  const Outcome outcome = RunProgram(GetParam().arguments);
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.out, IsEmpty());
  EXPECT_THAT(outcome.err, AllOf(StartsWith("innerloop: "), HasSubstr(GetParam().message)));
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
}

INSTANTIATE_TEST_SUITE_P(
    All, BadUsageTest,
    ::testing::Values(
        BadUsage{{}, "subcommand"}, BadUsage{{"frobnicate"}, "frobnicate"},
        BadUsage{{"train"}, "JOB is required"},
        BadUsage{{"train", "job", "--workers", "0"}, "--workers"},
        BadUsage{{"train", "/nowhere/job.textproto"}, "/nowhere/job.textproto"},
        BadUsage{{"show"}, "ID is required"}, BadUsage{{"list", "--format=xml"}, "--format"},
        BadUsage{{"list", "extra"}, "extra"}, BadUsage{{"evaluate", "j1", "--ways", "1"}, "--ways"},
        BadUsage{{"evaluate", "j1", "--shots", "1,0"}, "--shots"},
        BadUsage{{"evaluate", "j1", "--transductive", "yes,maybe"}, "--transductive"},
        BadUsage{{"evaluate", "j1", "--split", "tset"}, "--split"},
        BadUsage{{"evaluate", "j1", "--data", "nofile"}, "write NAME=FILE"},
        BadUsage{{"list", "--coordinator", "here"}, "'here' is no address; HOST:PORT"},
        BadUsage{{"evaluate", "a", "--seed", "-1"},
                 "--seed: '-1' is no whole number from 0 to 18446744073709551615"},
        BadUsage{{"evaluate", "a", "--seed", "18446744073709551616"}, "is no whole number from 0"},
        BadUsage{{"dataset", "example", "ratings", "--seed", "0x10", "--out", "x"},
                 "--seed: '0x10' is no whole number from 0 to"},
        BadUsage{{"watch", "j1", "--from=-5"}, "--from: '-5' is no whole number from 0 to"},
        BadUsage{{"certs", "issue", "a", "--role=user", "--name=u", "--out=o", "--days=4000"},
                 "--days: '4000' is no whole number from 1 to 3652"},
        BadUsage{{"adapt", "j1", "--support", "s", "--steps", "10001"},
                 "--steps: '10001' is no whole number from 0 to 10000"},
        BadUsage{{"evaluate", "a", "--shots", "abc"}, "'abc' is no whole number from 1 to"},
        BadUsage{{"train", "job", "--seeds", "5..1"},
                 "--seeds=5..1: 5..1 runs backwards; write 1..5"},
        BadUsage{{"train", "job", "--allow-model", "ABC"}, "'ABC' is no SHA-256: 64 hex digits"},
        BadUsage{{"dataset", "add", "--no"}, "(see: innerloop dataset add --help)"},
        BadUsage{{"train", "job", "--metrics-listen", "foo"},
                 "--metrics-listen: 'foo' is no address; HOST:PORT"},
        BadUsage{{"train", "job", "--metrics-listen", "0.0.0.0:1"}, "127.0.0.1:PORT"},
        BadUsage{{"evaluate", "missing.safetensors"}, "missing.safetensors"},
        BadUsage{{"checkpoint"}, "subcommand"},
        BadUsage{{"checkpoint", "show", "missing"}, "missing"},
        BadUsage{{"dataset", "import", "images", "--out", "x"}, "SOURCE"},
        BadUsage{{"dataset", "show", "missing.safetensors"}, "missing.safetensors"}));

TEST(Usage, HelpAndVersionGoToTheOutput) {
  EXPECT_EQ(RunProgram({"--version"}).code, 0);
  EXPECT_THAT(RunProgram({"--version"}).out, AllOf(StartsWith("innerloop "), HasSubstr("gRPC ")));
  const Outcome help = RunProgram({"train", "--help"});
  EXPECT_EQ(help.code, 0);
  EXPECT_THAT(help.out, AllOf(HasSubstr("--state-dir"), HasSubstr("--set")));
  EXPECT_THAT(help.err, IsEmpty());
}

TEST(Usage, OutputThatDoesNotArriveIsOneLineAndCodeOne) {
  for (const std::vector<const char*>& arguments : std::vector<std::vector<const char*>>{
           {"innerloop", "completion", "bash"}, {"innerloop", "--version"}}) {
    std::ofstream full("/dev/full");
    std::ostringstream err;
    Surroundings surroundings{.out = full, .err = err};
    EXPECT_EQ(RunClient(static_cast<int>(arguments.size()), arguments.data(), surroundings), 1);
    EXPECT_EQ(err.str(), "innerloop: cannot write to standard output\n");
  }
}

class BrokenClock final : public Clock {
 public:
  absl::Time Now() const override { throw std::runtime_error("no\ntime"); }
  absl::Duration Monotonic() const override { return absl::ZeroDuration(); }
};

TEST(Usage, WhatIsThrownIsOneLineAndCodeOne) {
  const TestFolder folder;
  const std::string authority = folder / "authority";
  const char* const arguments[] = {"innerloop", "certs", "init", authority.c_str()};
  const BrokenClock clock;
  std::ostringstream out;
  std::ostringstream err;
  Surroundings surroundings{.out = out, .err = err, .clock = &clock};
  EXPECT_EQ(RunClient(4, arguments, surroundings), 1);
  EXPECT_EQ(err.str(), "innerloop: broke off: no time\n");
}

TEST(Usage, CompletionKnowsTheCommandsAndTheirFlags) {
  const Outcome bash = RunProgram({"completion", "bash"});
  EXPECT_EQ(bash.code, 0);
  EXPECT_THAT(bash.out, HasSubstr("'checkpoint') words='list download show verify"));
  EXPECT_THAT(bash.out, HasSubstr("'dataset import images') words="));
  EXPECT_THAT(bash.out, HasSubstr("--metrics-listen"));
  TestFolder folder;
  const std::string script = folder.Write("completion", bash.out);
  const std::string check =
      absl::StrCat("bash -c 'source ", script,
                   "; COMP_WORDS=(innerloop --format json checkpoint v); COMP_CWORD=4; _innerloop; "
                   "[ \"${COMPREPLY[*]}\" = verify ]'");
  EXPECT_EQ(std::system(check.c_str()), 0);
}

TEST(Usage, AnAbsentCoordinatorIsCodeThree) {
  const Outcome outcome = RunProgram({"list", "--coordinator", "127.0.0.1:1"});
  EXPECT_EQ(outcome.code, 3);
  EXPECT_EQ(outcome.err,
            "innerloop: cannot reach the coordinator at 127.0.0.1:1: start innerloop-coordinator "
            "there, or name another with --coordinator HOST:PORT\n");
}

}  // namespace
}  // namespace innerloop::client
