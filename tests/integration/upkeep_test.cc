// Living with a coordinator: logs, labels, clones, comparisons, garbage, backups.
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/integration/cluster.h"

namespace innerloop::integration {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class Upkeep : public Cluster {
 protected:
  nlohmann::json Show(const std::string& id) {
    return Result(Client({"show", id, "--format=json"}));
  }
  std::string Parameters(const std::string& id) {
    return Show(id).at("last_checkpoint").at("parameters_sha256");
  }
};

TEST_F(Upkeep, ABackupOfARunningCoordinatorGoesOnToTheSameBits) {
  const std::string id =
      Submit({"iterations=1500", "meta_batch=400", "tasks_per_shard=50", "checkpoint.every=100",
              "evaluation.every=0", "evaluation.skip_final=true"});
  {
    Process watch("innerloop", {"watch", id, "--coordinator", address_});
    // Each tenth of the job tells of its progress.
    ASSERT_NE(watch.AwaitLine("meta-loss"), "");
    ASSERT_NE(watch.AwaitLine("meta-loss"), "");
  }
  const std::string file = NewFolder() + "/backup.tar";
  const nlohmann::json backup = Result(Client({"backup", "-o", file, "--format=json"}));
  EXPECT_EQ(backup.at("bytes"), std::filesystem::file_size(file));
  EXPECT_EQ(Show(id).at("state"), "RUNNING") << "the job was over before its backup";
  ASSERT_EQ(Client({"watch", id}).exit_code, 0);
  const std::string parameters = Parameters(id);

  worker_.reset();
  coordinator_.reset();
  state_dir_ = NewFolder() + "/restored";
  const Outcome restored = RunToEnd("innerloop", {"restore", file, "--state-dir", state_dir_});
  ASSERT_EQ(restored.exit_code, 0) << restored.err;
  StartCoordinator("127.0.0.1:0");
  StartWorker();
  ASSERT_EQ(Client({"watch", id}).exit_code, 0);
  EXPECT_EQ(Parameters(id), parameters);
  EXPECT_THAT(Client({"logs", id}).out,
              AllOf(HasSubstr("goes on from iteration "), Not(HasSubstr("iteration 0 after"))));
  EXPECT_THAT(Show(id).at("last_checkpoint").at("path").get<std::string>(), HasSubstr(state_dir_));
  const Outcome used = RunToEnd("innerloop", {"restore", file, "--state-dir", state_dir_});
  EXPECT_NE(used.exit_code, 0);
  EXPECT_THAT(used.err, HasSubstr("in use"));
}

TEST_F(Upkeep, AJobIsNamedLabelledClonedComparedAndThrownAway) {
  const std::string id = Submit({"iterations=120", "evaluation.skip_final=true"});
  ASSERT_EQ(Client({"label", id, "experiment=upkeep"}).exit_code, 0);
  ASSERT_EQ(Client({"watch", id}).exit_code, 0);
  ASSERT_EQ(Client({"note", id, "the first of two"}).exit_code, 0);
  EXPECT_THAT(Client({"list", "--label", "experiment=upkeep"}).out, HasSubstr(id));
  EXPECT_EQ(Client({"list", "--label", "experiment=other"}).out, "no jobs\n");
  EXPECT_THAT(Client({"show", id}).out, HasSubstr("the first of two"));

  const Outcome spec = Client({"show", id, "--spec"});
  const std::string file = NewFolder() + "/clone.textproto";
  std::ofstream(file) << spec.out;
  const nlohmann::json clone =
      Result(Client({"submit", file, "--note", "the second", "--format=json"}));
  const std::string second = clone.at("job");
  ASSERT_EQ(Client({"watch", second}).exit_code, 0);
  const nlohmann::json compared = Result(Client({"compare", id, second, "--format=json"}));
  EXPECT_EQ(compared.at("parameters_equal"), true);
  ASSERT_EQ(compared.at("differences").size(), 1) << compared.dump();
  EXPECT_TRUE(compared.at("differences").contains("note"));

  const Outcome log = Client({"logs", id, "--follow"});
  EXPECT_EQ(log.exit_code, 0) << log.err;
  EXPECT_THAT(log.out, AllOf(HasSubstr("submitted"), HasSubstr("initialised"),
                             HasSubstr("peak memory"), HasSubstr("finished: 120 iterations")));
  EXPECT_EQ(Client({"logs", id, "--severity", "error"}).out, "");
  EXPECT_THAT(Client({"info"}).out, HasSubstr("not encrypted"));

  EXPECT_THAT(Client({"gc", "--dry-run", "--jobs-older-than", "0s"}).out,
              AllOf(HasSubstr(id), HasSubstr(second), HasSubstr("would remove")));
  EXPECT_EQ(Client({"gc", "--jobs-older-than", "0s"}).exit_code, 0);
  EXPECT_EQ(Client({"show", id}).exit_code, 2);
  EXPECT_FALSE(std::filesystem::exists(state_dir_ + "/jobs/" + id));
}

}  // namespace
}  // namespace innerloop::integration
