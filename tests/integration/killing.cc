#include "tests/integration/killing.h"

#include <signal.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/integration/process.h"
#include "tests/integration/train.h"

namespace innerloop::integration {

std::string Sha256AfterKilling(const std::string& victim, const std::string& job,
                               const std::vector<std::string>& settings) {
  std::vector<std::string> more = settings;
  more.insert(more.end(), {"--workers", "2"});
  Process run("innerloop", PlainTrainArguments(job, NewFolder(), more));
  EXPECT_NE(run.AwaitLine("meta-loss"), "") << "the run ended before it told of its progress";
  const std::vector<pid_t> victims = run.Children(victim);
  EXPECT_FALSE(victims.empty());
  if (victims.empty()) {
    return "";
  }
  kill(victims[0], SIGKILL);
  const Outcome outcome = run.Wait();
  EXPECT_THAT(outcome.err, ::testing::HasSubstr("starting it again"));
  return Sha256OfTable(outcome);
}

}  // namespace innerloop::integration
