// Every method through the service: the same bits for one worker and three, and after a coordinator
// that was killed midway.
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/integration/killing.h"
#include "tests/integration/process.h"
#include "tests/integration/train.h"

namespace innerloop::integration {
namespace {

enum class Data { kOmniglot, kMachines, kNone };

struct Method {
  std::string name;
  std::string job;
  // On top of those that all share.
  std::vector<std::string> settings;
  Data data = Data::kOmniglot;
};

void PrintTo(const Method& method, std::ostream* out) { *out << method.name; }

class MethodsTest : public ::testing::TestWithParam<Method> {
 protected:
  void SetUp() override {
    const Method& method = GetParam();
    const auto set = [&](const std::string& assignment) {
      settings_.insert(settings_.end(), {"--set", assignment});
    };
    if (method.data == Data::kMachines) {
      settings_ = {"--data", "machines=" + MachinesPath()};
    } else if (method.data == Data::kOmniglot) {
      std::string why;
      const std::string omniglot = OmniglotPath(&why);
      if (omniglot.empty()) {
        GTEST_SKIP() << why;
      }
      settings_ = {"--data", "omniglot=" + omniglot};
      // A small net: what is tested is the order of sums and what is done again.
      set("model.conv4.filters=8");
    }
    set("evaluation.every=0");
    set("evaluation.skip_final=true");
    set("checkpoint.every=10");
    for (const std::string& assignment : method.settings) {
      set(assignment);
    }
  }

  std::string Sha256(int workers) const {
    std::vector<std::string> more = settings_;
    more.insert(more.end(), {"--workers", std::to_string(workers)});
    return Sha256Of(RunToEnd("innerloop", TrainArguments(GetParam().job, NewFolder(), more)));
  }

  std::vector<std::string> settings_;
};

TEST_P(MethodsTest, GivesTheSameBitsForOneWorkerAndThreeAndAfterAKill) {
  const std::string one = Sha256(1);
  EXPECT_EQ(one, Sha256(3));
  EXPECT_EQ(one, Sha256AfterKilling("innerloop-coordinator", GetParam().job, settings_));
}

const std::vector<std::string> kSmallBatches = {"iterations=200", "meta_batch=12",
                                                "tasks_per_shard=4", "tasks_per_chunk=4"};
const std::vector<std::string> kSmallEpisodes = {"iterations=200", "meta_batch=6",
                                                 "tasks_per_shard=2", "tasks_per_chunk=2",
                                                 "tasks.episodes.ways=5"};
const std::vector<std::string> kManyTasks = {"iterations=1500", "meta_batch=400",
                                             "tasks_per_shard=50", "checkpoint.every=50"};
// Each takes much longer: no fused engine.
const std::vector<std::string> kSlowTasks = {"iterations=600", "meta_batch=100",
                                             "tasks_per_shard=25", "checkpoint.every=20"};
const std::vector<std::string> kManyGroups = {"iterations=1500", "meta_batch=48",
                                              "tasks_per_shard=16", "tasks_per_chunk=16",
                                              "checkpoint.every=100"};

std::vector<std::string> With(std::vector<std::string> settings, const std::string& one_more) {
  settings.push_back(one_more);
  return settings;
}

INSTANTIATE_TEST_SUITE_P(
    Methods, MethodsTest,
    ::testing::Values(
        Method{"FirstOrderMaml", "omniglot_first_order_maml", kSmallBatches},
        Method{"Reptile", "omniglot_reptile", kSmallBatches},
        Method{"MatchingNetworks", "omniglot_matching_networks", kSmallEpisodes},
        Method{"FullContext", "omniglot_matching_networks_full_context", kSmallEpisodes},
        Method{"PrototypicalNetworks", "omniglot_prototypical_networks", kSmallEpisodes},
        Method{"LstmMetaLearner", "omniglot_lstm_meta_learner", kSmallBatches},
        Method{"Contrastive", "omniglot_maml_contrastive", kSmallBatches},
        Method{"GradientNorm", "omniglot_maml_gradient_norm", kSmallBatches},
        Method{"MultiStep", "omniglot_maml_multi_step", kSmallBatches},
        Method{"Proximal", "sinusoid_maml_proximal", kSlowTasks, Data::kNone},
        Method{"RandomMaps", "random_map_reptile", kSlowTasks, Data::kNone},
        Method{"Pretraining", "sinusoid_maml",
               With(kManyTasks, "algorithm.pretraining.inner_optimizer.sgd.learning_rate=0.01"),
               Data::kNone},
        Method{"Grouped", "applications/machines", kManyGroups, Data::kMachines}),
    [](const ::testing::TestParamInfo<Method>& info) { return info.param.name; });

}  // namespace
}  // namespace innerloop::integration
