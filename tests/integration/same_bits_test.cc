// The same parameters for any number of workers and slots, and whatever dies on the way.
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/integration/killing.h"
#include "tests/integration/process.h"
#include "tests/integration/train.h"

namespace innerloop::integration {
namespace {

using ::testing::Ge;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// Waits, when it is destroyed, until these processes have ended, whosever children they are.
class EndOf {
 public:
  explicit EndOf(const std::vector<pid_t>& processes) {
    EXPECT_FALSE(processes.empty());
    for (const pid_t process : processes) {
      handles_.push_back(static_cast<int>(syscall(SYS_pidfd_open, process, 0)));
      EXPECT_GE(handles_.back(), 0);
    }
  }
  ~EndOf() {
    for (const int handle : handles_) {
      pollfd ended = {handle, POLLIN, 0};
      poll(&ended, 1, /*timeout=*/-1);
      close(handle);
    }
  }
  EndOf(const EndOf&) = delete;
  EndOf& operator=(const EndOf&) = delete;

 private:
  std::vector<int> handles_;
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
                           "tasks_per_shard=50", "--set", "checkpoint.every=100"});
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

// Small shards of a small net: what is tested here is the order of sums and what is done again, not
// the size of the net.
class SameBitsOmniglot : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string why;
    const std::string omniglot = OmniglotPath(&why);
    if (omniglot.empty()) {
      GTEST_SKIP() << why;
    }
    settings_ = Short({"--data", "omniglot=" + omniglot, "--set", "model.conv4.filters=8", "--set",
                       "meta_batch=12", "--set", "tasks_per_shard=4", "--set", "tasks_per_chunk=4",
                       "--set", "checkpoint.every=10"});
    static const std::string once = Sha256(1, 1);
    undisturbed_ = once;
  }
  std::string Sha256(int workers, int slots) const {
    return Sha256Of(TrainWith("omniglot_maml_quick", settings_, workers, slots));
  }

  std::vector<std::string> settings_;
  std::string undisturbed_;
};

TEST_F(SameBitsOmniglot, ForAnyNumberOfWorkersAndSlots) {
  EXPECT_EQ(undisturbed_, Sha256(2, 1));
  EXPECT_EQ(undisturbed_, Sha256(3, 1));
  EXPECT_EQ(undisturbed_, Sha256(1, 2));
}

TEST_F(SameBitsOmniglot, WhenAWorkerIsKilledMidway) {
  EXPECT_EQ(undisturbed_, Sha256AfterKilling("innerloop-worker", "omniglot_maml_quick", settings_));
}

TEST_F(SameBitsOmniglot, WhenTheCoordinatorIsKilledMidwayAndStartedAgain) {
  EXPECT_EQ(undisturbed_,
            Sha256AfterKilling("innerloop-coordinator", "omniglot_maml_quick", settings_));
}

TEST(SameBits, WhenAWorkerIsKilledMidway) {
  const std::string undisturbed = Sha256Of(TrainWith("sinusoid_maml", Long({}), 2, 1));
  EXPECT_EQ(undisturbed, Sha256AfterKilling("innerloop-worker", "sinusoid_maml", Long({})));
}

TEST(SameBits, WhenTheCoordinatorIsKilledMidwayAndStartedAgain) {
  const std::string undisturbed = Sha256Of(TrainWith("sinusoid_maml", Long({}), 2, 1));
  EXPECT_EQ(undisturbed, Sha256AfterKilling("innerloop-coordinator", "sinusoid_maml", Long({})));
}

TEST(SameBits, WhenTheWholeRunIsKilledAndStartedAgain) {
  const std::string undisturbed = Sha256Of(TrainWith("sinusoid_maml", Long({}), 2, 1));
  const std::string folder = NewFolder();
  const std::string mark = NewMark();
  const std::vector<std::string> arguments =
      TrainArguments("sinusoid_maml", folder, Long({"--workers", "2"}));
  {
    Process run("innerloop", PlainTrainArguments("sinusoid_maml", folder, Long({"--workers", "2"})),
                {mark});
    ASSERT_TRUE(AwaitCheckpoint(run, folder));
    const std::vector<pid_t> processes = ProcessesWith(mark);
    EXPECT_THAT(processes, SizeIs(Ge(3))) << "the run, its coordinator and its workers";
    // They go with it, a moment later.
    const EndOf all(processes);
    run.Signal(SIGKILL);
    EXPECT_EQ(run.Wait().exit_code, -1);
  }
  EXPECT_THAT(ProcessesWith(mark), IsEmpty());
  EXPECT_EQ(undisturbed, Sha256Of(RunToEnd("innerloop", arguments)));
  ExpectWentOn(folder);
}

}  // namespace
}  // namespace innerloop::integration
