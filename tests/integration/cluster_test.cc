// A coordinator and workers that live for long, and clients that come and go.
#include <signal.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/integration/cluster.h"

namespace innerloop::integration {
namespace {

using ::testing::HasSubstr;

TEST_F(Cluster, AJobIsSubmittedWatchedEvaluatedAndItsCheckpointDownloaded) {
  const std::string id = Submit({"iterations=300", "evaluation.final.episodes=100"});
  ASSERT_NE(id, "");
  EXPECT_EQ(Client({"watch", id}).exit_code, 0);
  EXPECT_THAT(Client({"list"}).out, HasSubstr(id));
  EXPECT_THAT(Client({"show", id}).out, HasSubstr("SUCCEEDED"));
  EXPECT_THAT(Client({"workers"}).out, HasSubstr("1"));

  const nlohmann::json evaluated =
      Result(Client({"evaluate", id, "--episodes", "30", "--steps", "2", "--format=json"}));
  EXPECT_EQ(evaluated.at("steps").size(), 3);
  EXPECT_EQ(evaluated.at("episodes"), 30);

  const std::string file = NewFolder() + "/downloaded.safetensors";
  EXPECT_EQ(Client({"checkpoint", "download", id, "--out", file}).exit_code, 0);
  const nlohmann::json shown =
      Result(RunToEnd("innerloop", {"checkpoint", "show", file, "--format=json"}));
  EXPECT_EQ(shown.at("iteration"), 300);
  EXPECT_EQ(shown.at("job"), id);

  EXPECT_EQ(Client({"delete", id}).exit_code, 0);
  EXPECT_EQ(Client({"show", id}).exit_code, 2);
  EXPECT_FALSE(std::filesystem::exists(state_dir_ + "/jobs/" + id));
}

TEST_F(Cluster, PausedJobsStandStillAndGoOn) {
  const std::string id = Submit({"iterations=100000000", "evaluation.every=0"});
  ASSERT_EQ(Client({"pause", id}).exit_code, 0);
  EXPECT_THAT(Client({"show", id}).out, HasSubstr("PAUSED"));
  EXPECT_EQ(Client({"resume", id}).exit_code, 0);
  EXPECT_EQ(Client({"cancel", id}).exit_code, 0);
  EXPECT_THAT(Client({"show", id}).out, HasSubstr("CANCELLED"));
  EXPECT_EQ(Client({"watch", id}).exit_code, 1) << "a cancelled job has not done what was asked";
}

TEST_F(Cluster, TwoJobsShareTheWorkersAndBothEnd) {
  const std::string first = Submit({"iterations=500", "evaluation.skip_final=true", "seed=1"});
  const std::string second = Submit({"iterations=500", "evaluation.skip_final=true", "seed=2"});
  EXPECT_EQ(Client({"watch", first}).exit_code, 0);
  EXPECT_EQ(Client({"watch", second}).exit_code, 0);
}

TEST_F(Cluster, AJobWithoutWorkersSaysSo) {
  worker_.reset();
  const std::string id = Submit({"iterations=10"});
  const nlohmann::json shown = Result(Client({"show", id, "--format=json"}));
  EXPECT_THAT(shown.dump(), HasSubstr("no workers"));
}

TEST_F(Cluster, AJobGoesOnWhereAnotherEnded) {
  const std::string first = Submit({"iterations=50", "evaluation.skip_final=true"});
  ASSERT_EQ(Client({"watch", first}).exit_code, 0);
  const std::string second =
      Submit({"iterations=50", "evaluation.skip_final=true", "init_from=" + first});
  EXPECT_EQ(Client({"watch", second}).exit_code, 0);
  const Outcome unknown =
      Client({"submit", JobPath("sinusoid_maml"), "--set", "init_from=nothing"});
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_THAT(unknown.err, HasSubstr("nothing"));
}

TEST_F(Cluster, TheCoordinatorStopsGracefullyAndItsJobsGoOnWhenItIsBack) {
  const std::string id = Submit({"iterations=3000", "evaluation.skip_final=true"});
  coordinator_->Signal(SIGTERM);
  EXPECT_EQ(coordinator_->Wait().exit_code, 0);
  StartCoordinator(address_);
  EXPECT_EQ(Client({"watch", id}).exit_code, 0);
  EXPECT_THAT(Client({"show", id}).out, HasSubstr("SUCCEEDED"));
}

TEST_F(Cluster, AWorkerDrainsOnSigterm) {
  const std::string id = Submit({"iterations=1000", "evaluation.skip_final=true"});
  worker_->Signal(SIGTERM);
  EXPECT_EQ(worker_->Wait().exit_code, 0);
  StartWorker();
  EXPECT_EQ(Client({"watch", id}).exit_code, 0);
}

TEST_F(Cluster, MetricsTellOfTheJob) {
  const std::string id = Submit({"iterations=200", "evaluation.skip_final=true"});
  ASSERT_EQ(Client({"watch", id}).exit_code, 0);
  const Outcome page =
      RunToEnd("/usr/bin/curl", {"-sS", "--max-time", "20", "http://" + metrics_ + "/metrics"});
  EXPECT_EQ(page.exit_code, 0) << page.err;
  EXPECT_THAT(page.out, HasSubstr("innerloop_iterations_total{job=\"" + id + "\"} 200"));
  EXPECT_THAT(page.out, HasSubstr("innerloop_meta_loss{job=\"" + id + "\"}"));
  EXPECT_THAT(page.out, HasSubstr("innerloop_workers{"));
}

}  // namespace
}  // namespace innerloop::integration
