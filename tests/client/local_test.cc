#include <csignal>
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "client/local/child_process.h"
#include "client/local/local_cluster.h"
#include "client/local/restart_budget.h"
#include "client/local/signal_watch.h"
#include "client/local/supervised_process.h"
#include "client/local/temporary_folder.h"
#include "tests/client/test_files.h"

namespace innerloop::client {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(RestartBudget, AllowsSomeDeathsInAWindow) {
  RestartBudget budget(/*restarts=*/2, /*window=*/absl::Seconds(60));
  EXPECT_TRUE(budget.Allows(absl::Seconds(0)));
  EXPECT_TRUE(budget.Allows(absl::Seconds(30)));
  EXPECT_FALSE(budget.Allows(absl::Seconds(59)));
}

TEST(RestartBudget, ForgetsDeathsThatAreLongPast) {
  RestartBudget budget(/*restarts=*/1, /*window=*/absl::Seconds(60));
  for (int hour = 0; hour < 100; ++hour) {
    EXPECT_TRUE(budget.Allows(absl::Hours(hour)));
  }
}

class LocalTest : public ::testing::Test {
 protected:
  TestFolder folder_;
  const std::string log_ = folder_.path() + "/log";
};

TEST_F(LocalTest, AChildsOutputIsReadAndKept) {
  ChildProcess child;
  std::vector<std::string> lines;
  const auto ending = child.Run({"/bin/sh", "-c", "echo one; echo to-log >&2; echo two; exit 3"},
                                log_, [&](absl::string_view line) { lines.emplace_back(line); });
  ASSERT_TRUE(ending.ok()) << ending.status();
  EXPECT_EQ(ending->ToString(), "exited with code 3");
  EXPECT_THAT(lines, ElementsAre("one", "two"));
  EXPECT_THAT(ReadFile(log_), AllOf(HasSubstr("one"), HasSubstr("to-log"), HasSubstr("two")));
  EXPECT_THAT(LastLines(log_, 1), HasSubstr("o"));
}

TEST_F(LocalTest, AChildIsInItsOwnProcessGroupWithSignalsUnblocked) {
  sigset_t blocked;
  sigset_t before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &blocked, &before);
  ChildProcess child;
  std::string group;
  const auto ending = child.Run(
      {"/bin/sh", "-c",
       "read -r pid name state parent group rest </proc/$$/stat; echo $group; kill -TERM $$"},
      log_, [&](absl::string_view line) { group = std::string(line); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ASSERT_TRUE(ending.ok()) << ending.status();
  EXPECT_EQ(ending->ToString(), "was killed by signal 15 (Terminated)");
  int64_t pgid = 0;
  ASSERT_TRUE(absl::SimpleAtoi(group, &pgid)) << group;
  EXPECT_NE(pgid, ::getpgrp());
}

TEST_F(LocalTest, AProgramThatIsMissingIsNamed) {
  ChildProcess child;
  const auto ending = child.Run({"/nowhere/program"}, log_, [](absl::string_view) {});
  EXPECT_THAT(std::string(ending.status().message()), HasSubstr("/nowhere/program"));
}

TEST_F(LocalTest, ASignalBeforeTheStartIsNotLost) {
  ChildProcess child;
  child.Signal(SIGKILL);
  const auto ending = child.Run({"/bin/sleep", "1000"}, log_, [](absl::string_view) {});
  ASSERT_TRUE(ending.ok());
  EXPECT_TRUE(ending->signalled);
}

// Told of the process numbers of a program that prints its own.
class Pids {
 public:
  void Add(absl::string_view line) {
    int pid = 0;
    if (absl::SimpleAtoi(line, &pid)) {
      const absl::MutexLock lock(&mu_);
      pids_.push_back(pid);
    }
  }
  int Await(size_t count) {
    const absl::MutexLock lock(&mu_);
    const auto there = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return pids_.size() >= count; };
    mu_.Await(absl::Condition(&there));
    return pids_[count - 1];
  }

 private:
  absl::Mutex mu_;
  std::vector<int> pids_ ABSL_GUARDED_BY(mu_);
};

SupervisedProcess::Options Program(const std::string& script, const std::string& log) {
  return {.name = "worker 1",
          .arguments =
              [script] {
                return std::vector<std::string>{"/bin/sh", "-c", script};
              },
          .log_path = log,
          .restarts = 2,
          .restart_delay = absl::ZeroDuration()};
}

TEST_F(LocalTest, AKilledProgramIsStartedAgain) {
  Pids pids;
  absl::Notification told;
  std::string what;
  SupervisedProcess process(Program("echo $$; exec sleep 1000", log_),
                            {.on_line = [&](absl::string_view line) { pids.Add(line); },
                             .on_restart =
                                 [&](const std::string& text) {
                                   what = text;
                                   told.Notify();
                                 },
                             .on_given_up = [](const absl::Status& why) { FAIL() << why; }});
  process.SetReady();
  const int first = pids.Await(1);
  ::kill(first, SIGKILL);
  EXPECT_NE(pids.Await(2), first);
  told.WaitForNotification();
  EXPECT_EQ(what, "the worker 1 was killed by signal 9 (Killed); starting it again");
  process.Stop(SIGTERM);
  EXPECT_TRUE(process.AwaitEnd(absl::InfiniteDuration()));
  EXPECT_NE(::kill(pids.Await(2), 0), 0);
}

absl::Status ReasonToGiveUp(SupervisedProcess::Options options, bool ready) {
  absl::Status why;
  SupervisedProcess process(std::move(options),
                            {.on_line = [](absl::string_view) {},
                             .on_restart = [](const std::string&) {},
                             .on_given_up = [&](const absl::Status& status) { why = status; }});
  if (ready) {
    process.SetReady();
  }
  process.AwaitEnd(absl::InfiniteDuration());
  return why;
}

TEST_F(LocalTest, AProgramThatKeepsDyingIsGivenUpWithItsLastWords) {
  const absl::Status why = ReasonToGiveUp(Program("echo out of paper >&2; exit 1", log_),
                                          /*ready=*/true);
  EXPECT_EQ(why.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(why.message()),
              AllOf(HasSubstr("exited with code 1"), HasSubstr("out of paper"), HasSubstr(log_)));
}

TEST_F(LocalTest, WhatEarlierRunsWroteIsNotAmongTheLastWords) {
  folder_.Write("log", "the disk was full last year\n");
  const absl::Status why =
      ReasonToGiveUp(Program("echo out of paper >&2; exit 2", log_), /*ready=*/true);
  EXPECT_EQ(why.message(), "the worker 1 exited with code 2: out of paper");
}

TEST_F(LocalTest, ARefusedProgramIsNotStartedAgain) {
  const absl::Status why =
      ReasonToGiveUp(Program("echo the port is taken >&2; exit 2", log_), /*ready=*/true);
  EXPECT_TRUE(absl::IsInvalidArgument(why)) << why;
  EXPECT_EQ(ReadFile(log_), "the port is taken\n");
}

class ClusterTest : public LocalTest {
 protected:
  ClusterTest() {
    ::mkfifo(starts_.c_str(), 0600);
    // Open for writing, too: so it never ends.
    reader_.open(starts_, std::ios::in | std::ios::out);
  }

  // `after` comes after the coordinator said where it listens.
  void WritePrograms(const std::string& after, const std::string& before = "") {
    folder_.WriteProgram("innerloop-coordinator",
                         absl::StrCat(before,
                                      "\necho some banner\n"
                                      "echo 'innerloop-coordinator: listening on 127.0.0.1:4567, "
                                      "metrics on 127.0.0.1:4568'\n"
                                      "echo \"coordinator $$ $*\" > ",
                                      starts_, "\n", after));
    folder_.WriteProgram("innerloop-worker",
                         absl::StrCat("echo \"worker $$ $*\" > ", starts_, "\nexec sleep 1000\n"));
  }

  LocalClusterOptions Options() {
    return {.state_dir = folder_.path() + "/state",
            .program_folder = folder_.path(),
            .workers = 1,
            .slots = 3,
            .notice = [](const std::string&) {}};
  }

  // The next line that a program wrote when it started.
  std::string NextStart() {
    std::string line;
    std::getline(reader_, line);
    return line;
  }

  const std::string starts_ = folder_.path() + "/starts";
  std::fstream reader_;
  Cancellation cancellation_;
};

int PidOf(const std::string& start) { return std::stoi(start.substr(start.find(' ') + 1)); }

TEST_F(ClusterTest, ACoordinatorThatDiedComesBackOnItsPorts) {
  WritePrograms("exec sleep 1000\n");
  auto cluster = LocalCluster::Start(Options(), cancellation_);
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  EXPECT_EQ((*cluster)->address(), "127.0.0.1:4567");
  EXPECT_EQ((*cluster)->metrics_address(), "127.0.0.1:4568");
  const std::string first = NextStart();
  EXPECT_THAT(first, AllOf(HasSubstr("--listen 127.0.0.1:0 --metrics-listen 127.0.0.1:0"),
                           HasSubstr("--state-dir " + folder_.path() + "/state")));
  ::kill(PidOf(first), SIGKILL);
  EXPECT_THAT(NextStart(), HasSubstr("--listen 127.0.0.1:4567 --metrics-listen 127.0.0.1:4568"));
  EXPECT_TRUE(cancellation_.status().ok());
}

TEST_F(ClusterTest, StopLeavesNothingRunning) {
  WritePrograms("exec sleep 1000\n");
  auto cluster = LocalCluster::Start(Options(), cancellation_);
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  const int coordinator = PidOf(NextStart());
  (*cluster)->StartWorkers();
  const std::string worker = NextStart();
  EXPECT_THAT(worker, HasSubstr("--coordinator 127.0.0.1:4567 --slots 3"));
  EXPECT_TRUE((*cluster)->Stop(absl::InfiniteDuration()));
  EXPECT_NE(::kill(coordinator, 0), 0);
  EXPECT_NE(::kill(PidOf(worker), 0), 0);
}

TEST_F(ClusterTest, WhatDoesNotStopIsKilled) {
  WritePrograms("while true; do sleep 1000; done\n", "trap '' TERM");
  auto cluster = LocalCluster::Start(Options(), cancellation_);
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  const int coordinator = PidOf(NextStart());
  EXPECT_FALSE((*cluster)->Stop(absl::Milliseconds(1)));
  cluster->reset();
  EXPECT_NE(::kill(coordinator, 0), 0);
}

TEST_F(ClusterTest, ACoordinatorThatRefusesIsReportedInItsOwnWords) {
  folder_.WriteProgram("innerloop-coordinator",
                       "echo 'another coordinator uses the state folder' >&2; exit 2\n");
  folder_.WriteProgram("innerloop-worker", "");
  const auto cluster = LocalCluster::Start(Options(), cancellation_);
  EXPECT_TRUE(absl::IsInvalidArgument(cluster.status())) << cluster.status();
  EXPECT_THAT(std::string(cluster.status().message()),
              HasSubstr("another coordinator uses the state folder"));
}

TEST_F(ClusterTest, AWorkerThatKeepsDyingCancelsWhatWaits) {
  WritePrograms("exec sleep 1000\n");
  folder_.WriteProgram("innerloop-worker", "echo no such device >&2; exit 2\n");
  auto cluster = LocalCluster::Start(Options(), cancellation_);
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  NextStart();
  (*cluster)->StartWorkers();
  const absl::Status why = cancellation_.Sleep(absl::InfiniteDuration());
  EXPECT_THAT(std::string(why.message()), HasSubstr("no such device"));
}

TEST_F(ClusterTest, MissingProgramsAreNamed) {
  const auto cluster = LocalCluster::Start(Options(), cancellation_);
  EXPECT_THAT(std::string(cluster.status().message()), HasSubstr("innerloop-coordinator"));
}

TEST(SignalWatch, CountsSignals) {
  absl::Notification first;
  absl::Notification second;
  std::vector<int> counts;
  const SignalWatch watch([&](int count) {
    counts.push_back(count);
    (counts.size() == 1 ? first : second).Notify();
  });
  ::kill(::getpid(), SIGINT);
  first.WaitForNotification();
  ::kill(::getpid(), SIGTERM);
  second.WaitForNotification();
  EXPECT_THAT(counts, ElementsAre(1, 2));
}

TEST(TemporaryFolder, GoesAwayWithWhatItHolds) {
  std::string path;
  {
    const auto folder = TemporaryFolder::Create();
    ASSERT_TRUE(folder.ok()) << folder.status();
    path = folder->path();
    std::ofstream(path + "/file") << "text";
    EXPECT_TRUE(std::filesystem::exists(path + "/file"));
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(TemporaryFolder, RemovesWhatAKilledOwnerLeft) {
  TestFolder parent;
  ::setenv("TMPDIR", parent.path().c_str(), 1);
  const std::string left = parent.path() + "/innerloop-run-dead";
  std::filesystem::create_directory(left);
  std::filesystem::last_write_time(
      left, std::filesystem::file_time_type::clock::now() - std::chrono::hours(1));
  const auto alive = TemporaryFolder::Create();
  ASSERT_TRUE(alive.ok()) << alive.status();
  EXPECT_FALSE(std::filesystem::exists(left));
  std::filesystem::last_write_time(
      alive->path(), std::filesystem::file_time_type::clock::now() - std::chrono::hours(1));
  const auto another = TemporaryFolder::Create();
  EXPECT_TRUE(std::filesystem::exists(alive->path()));
  ::unsetenv("TMPDIR");
}

}  // namespace
}  // namespace innerloop::client
