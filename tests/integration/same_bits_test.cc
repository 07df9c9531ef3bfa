// The same parameters for any number of workers and slots, and whatever dies on the way.
#include <signal.h>

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/integration/process.h"
#include "tests/integration/train.h"

namespace innerloop::integration {
namespace {

struct Job {
  std::string name;
  std::vector<std::string> arguments;
};

// 200 iterations without evaluations, in shards small enough for three workers.
std::vector<std::string> Short(std::vector<std::string> more) {
  more.insert(more.end(), {"--set", "iterations=200", "--set", "evaluation.every=0", "--set",
                           "evaluation.skip_final=true"});
  return more;
}

// The same job, large enough to be interrupted: progress is told every tenth of it.
std::vector<std::string> Long(std::vector<std::string> more) {
  more = Short(std::move(more));
  more.insert(more.end(), {"--set", "iterations=1500", "--set", "meta_batch=400", "--set",
                           "tasks_per_shard=50", "--set", "checkpoint.every=300"});
  return more;
}

Outcome TrainWith(const std::string& job, const std::vector<std::string>& settings, int workers,
                  int slots) {
  std::vector<std::string> more = settings;
  more.insert(more.end(), {"--workers", std::to_string(workers), "--slots", std::to_string(slots)});
  return RunToEnd("innerloop", TrainArguments(job, NewFolder(), more));
}

TEST(SameBits, SinusoidForAnyNumberOfWorkersAndSlots) {
  const std::vector<std::string> settings = Short({"--set", "tasks_per_shard=5"});
  const std::string one = Sha256Of(TrainWith("sinusoid_maml", settings, 1, 1));
  EXPECT_EQ(one, Sha256Of(TrainWith("sinusoid_maml", settings, 2, 1)));
  EXPECT_EQ(one, Sha256Of(TrainWith("sinusoid_maml", settings, 3, 1)));
  EXPECT_EQ(one, Sha256Of(TrainWith("sinusoid_maml", settings, 1, 2)));
  EXPECT_EQ(one, Sha256Of(TrainWith("sinusoid_maml", settings, 2, 2)));
}

TEST(SameBits, AnotherSeedGivesOthers) {
  const std::string one = Sha256Of(TrainWith("sinusoid_maml", Short({}), 1, 1));
  EXPECT_NE(one, Sha256Of(TrainWith("sinusoid_maml", Short({"--set", "seed=2"}), 1, 1)));
}

TEST(SameBits, SinusoidReptileForAnyNumberOfWorkers) {
  const std::string one = Sha256Of(TrainWith("sinusoid_reptile", Short({}), 1, 1));
  EXPECT_EQ(one, Sha256Of(TrainWith("sinusoid_reptile", Short({}), 3, 2)));
}

TEST(SameBits, OmniglotForAnyNumberOfWorkersAndSlots) {
  std::string why;
  const std::string omniglot = OmniglotPath(&why);
  if (omniglot.empty()) {
    GTEST_SKIP() << why;
  }
  std::vector<std::string> settings = Short({"--data", "omniglot=" + omniglot});
  // Small shards of a small net: what is tested here is the order of sums, not the size of the net.
  settings.insert(settings.end(), {"--set", "model.conv4.filters=8", "--set", "iterations=40"});
  const std::string one = Sha256Of(TrainWith("omniglot_maml_quick", settings, 1, 1));
  EXPECT_EQ(one, Sha256Of(TrainWith("omniglot_maml_quick", settings, 2, 1)));
  EXPECT_EQ(one, Sha256Of(TrainWith("omniglot_maml_quick", settings, 3, 2)));
}

// Kills one child of a run with SIGKILL once it is `text` far, and returns the parameters it ends
// with.
std::string Sha256AfterKilling(const std::string& victim, const std::string& text) {
  Process run("innerloop",
              PlainTrainArguments("sinusoid_maml", NewFolder(), Long({"--workers", "2"})));
  EXPECT_NE(run.AwaitLine(text), "") << "the run ended before it was " << text << " far";
  const std::vector<pid_t> victims = run.Children(victim);
  EXPECT_FALSE(victims.empty());
  if (victims.empty()) {
    return "";
  }
  kill(victims[0], SIGKILL);
  return Sha256OfTable(run.Wait());
}

TEST(SameBits, WhenAWorkerIsKilledMidway) {
  const std::string undisturbed = Sha256Of(TrainWith("sinusoid_maml", Long({}), 2, 1));
  EXPECT_EQ(undisturbed, Sha256AfterKilling("innerloop-worker", "meta-loss"));
}

TEST(SameBits, WhenTheCoordinatorIsKilledMidwayAndStartedAgain) {
  const std::string undisturbed = Sha256Of(TrainWith("sinusoid_maml", Long({}), 2, 1));
  EXPECT_EQ(undisturbed, Sha256AfterKilling("innerloop-coordinator", "meta-loss"));
}

TEST(SameBits, WhenTheWholeRunIsKilledAndStartedAgain) {
  const std::string undisturbed = Sha256Of(TrainWith("sinusoid_maml", Long({}), 2, 1));
  const std::string folder = NewFolder();
  const std::vector<std::string> arguments =
      TrainArguments("sinusoid_maml", folder, Long({"--workers", "2"}));
  {
    Process run("innerloop",
                PlainTrainArguments("sinusoid_maml", folder, Long({"--workers", "2"})));
    ASSERT_NE(run.AwaitLine("meta-loss"), "");
    run.Signal(SIGKILL);
    // Its children hold standard error too: the end of it is the end of all of them.
    EXPECT_EQ(run.Wait().exit_code, -1);
  }
  EXPECT_FALSE(AnyProcessMentions(folder));
  EXPECT_EQ(undisturbed, Sha256Of(RunToEnd("innerloop", arguments)));
}

}  // namespace
}  // namespace innerloop::integration
