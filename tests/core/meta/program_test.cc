#include "core/meta/program.h"

#include <fstream>
#include <numeric>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "tests/core/meta/test_dataset.h"
#include "tests/core/meta/test_jobs.h"

namespace innerloop::meta {
namespace {

constexpr char kSinusoid[] =
    "model { mlp { hidden: [16, 16] } } tasks { sinusoid { shots: 5 } } "
    "algorithm { maml { inner_steps: 2 inner_optimizer { sgd { learning_rate: 0.02 } } } } "
    "meta_batch: 10 tasks_per_shard: 6 tasks_per_chunk: 2 iterations: 100 seed: 3 ";
constexpr char kEpisodes[] =
    "model { conv4 { filters: 4 } } "
    "tasks { episodes { dataset: 'small' ways: 3 shots: 1 queries: 2 rotations: ROTATIONS_AUGMENT "
    "  split { counts { train: 6 validation: 3 test: 3 } } } } "
    "algorithm { reptile { inner_steps: 3 inner_batch: 4 train_shots: 3 "
    "  inner_optimizer { adam { learning_rate: 0.01 } } } } "
    "meta_batch: 6 tasks_per_shard: 3 tasks_per_chunk: 2 iterations: 100 ";
constexpr char kLstm[] =
    "model { conv4 { filters: 4 } } "
    "tasks { episodes { dataset: 'small' ways: 3 shots: 1 queries: 2 "
    "  split { counts { train: 6 validation: 3 test: 3 } } } } "
    "algorithm { lstm_meta_learner { inner_steps: 3 coordinates_per_block: 300 } } "
    "meta_batch: 6 tasks_per_shard: 6 tasks_per_chunk: 2 iterations: 100 ";

std::unique_ptr<Program> Create(const v1::JobSpec& spec,
                                std::shared_ptr<const Dataset> dataset = nullptr) {
  auto program = Program::Create(spec, std::move(dataset));
  EXPECT_TRUE(program.ok()) << program.status();
  return *std::move(program);
}

v1::Shard Shard(uint64_t first, uint64_t last, bool detailed = false) {
  v1::Shard shard;
  shard.set_iteration(7);
  shard.set_first_task(first);
  shard.set_last_task(last);
  shard.set_detailed(detailed);
  return shard;
}

v1::EvaluationShard Episodes(const v1::EvaluationProtocol& protocol, uint64_t first,
                             uint64_t last) {
  v1::EvaluationShard shard;
  *shard.mutable_protocol() = protocol;
  shard.set_first_episode(first);
  shard.set_last_episode(last);
  return shard;
}

void ExpectSays(const absl::Status& status, absl::StatusCode code, const std::string& text) {
  EXPECT_EQ(status.code(), code) << status;
  EXPECT_NE(status.message().find(text), absl::string_view::npos) << status;
  EXPECT_EQ(status.message().find('\n'), absl::string_view::npos) << status;
}

class ProgramTest : public ::testing::Test {
 protected:
  void SetUp() override { PrepareComputeThread(); }
};

TEST_F(ProgramTest, InitialParametersFollowFromTheSpecAlone) {
  const v1::JobSpec spec = ResolvedJob(kSinusoid);
  const auto program = Create(spec);
  EXPECT_EQ(program->layout().scalars(), 16 + 16 + 16 * 16 + 16 + 16 + 1);
  for (const TensorEntry& entry : program->layout().tensors()) {
    EXPECT_EQ(entry.name.rfind("model.", 0), 0U) << entry.name;
  }
  const auto first = program->Initialise();
  const auto second = Create(spec)->Initialise();
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(first->bytes(), second->bytes());
  v1::JobSpec other = spec;
  other.set_seed(4);
  EXPECT_NE(Create(other)->Initialise()->bytes(), first->bytes());
}

TEST_F(ProgramTest, AShardIsTheSumOfItsChunksInOrder) {
  const auto program = Create(ResolvedJob(kSinusoid));
  const FlatBuffer parameters = *program->Initialise();
  const auto whole = program->RunShard(parameters, Shard(0, 5));
  ASSERT_TRUE(whole.ok()) << whole.status();
  FlatBuffer sum(parameters.size());
  double loss = 0;
  for (const auto& [first, last] : {std::pair{0, 2}, std::pair{2, 4}, std::pair{4, 5}}) {
    const auto part = program->RunShard(parameters, Shard(first, last));
    ASSERT_TRUE(part.ok()) << part.status();
    for (int64_t i = 0; i < sum.size(); ++i) {
      sum.data()[i] += part->update.data()[i];
    }
    loss += part->metrics.meta_loss();
  }
  EXPECT_EQ(whole->update.bytes(), sum.bytes());
  EXPECT_TRUE(AllFinite(sum.values()));
  EXPECT_EQ(whole->metrics.tasks(), 5U);
  EXPECT_NEAR(whole->metrics.meta_loss(), loss, 1e-12 * loss);
  EXPECT_FALSE(whole->metrics.has_meta_accuracy());
  EXPECT_FALSE(whole->metrics.has_support_loss_before());
}

TEST_F(ProgramTest, DetailsDoNotChangeTheUpdate) {
  const auto program = Create(ResolvedJob(kSinusoid));
  const FlatBuffer parameters = *program->Initialise();
  const auto plain = program->RunShard(parameters, Shard(0, 6));
  const auto detailed = program->RunShard(parameters, Shard(0, 6, /*detailed=*/true));
  EXPECT_EQ(plain->update.bytes(), detailed->update.bytes());
  EXPECT_EQ(plain->metrics.meta_loss(), detailed->metrics.meta_loss());
  EXPECT_LT(detailed->metrics.support_loss_after(), detailed->metrics.support_loss_before());
  EXPECT_TRUE(detailed->metrics.has_query_loss_before());
}

TEST_F(ProgramTest, GivesTheSameBitsFromSeveralThreadsAtOnce) {
  const auto dataset = SmallDataset(8);
  const auto sinusoid = Create(ResolvedJob(kSinusoid));
  const auto episodes = Create(ResolvedJob(kEpisodes), dataset);
  const auto lstm = Create(ResolvedJob(kLstm), dataset);
  for (const Program* program : {sinusoid.get(), episodes.get(), lstm.get()}) {
    const FlatBuffer parameters = *program->Initialise();
    const auto expected = program->RunShard(parameters, Shard(0, 6));
    ASSERT_TRUE(expected.ok()) << expected.status();
    std::vector<int> equal(2, 0);
    std::vector<std::thread> threads;
    for (int& count : equal) {
      threads.emplace_back([&] {
        PrepareComputeThread();
        for (int i = 0; i < 20; ++i) {
          const auto output = program->RunShard(parameters, Shard(0, 6));
          count += output.ok() && output->update.bytes() == expected->update.bytes() &&
                           output->metrics.meta_loss() == expected->metrics.meta_loss()
                       ? 1
                       : 0;
        }
      });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
    EXPECT_EQ(equal, (std::vector<int>{20, 20}));
  }
}

TEST_F(ProgramTest, DescendingAlongTheUpdatesLowersTheMetaLoss) {
  const auto program = Create(
      ResolvedJob("model { mlp { hidden: [20, 20] activation: ACTIVATION_TANH } } tasks { sinusoid "
                  "{ } } algorithm { maml { inner_steps: 1 } } meta_batch: 10 iterations: 300"));
  FlatBuffer parameters = *program->Initialise();
  std::vector<double> losses;
  for (uint64_t iteration = 0; iteration < 300; ++iteration) {
    v1::Shard shard = Shard(0, 10);
    shard.set_iteration(iteration);
    const auto output = program->RunShard(parameters, shard);
    ASSERT_TRUE(output.ok()) << output.status();
    for (int64_t i = 0; i < parameters.size(); ++i) {
      parameters.data()[i] -= 0.002F * output->update.data()[i];
    }
    losses.push_back(output->metrics.meta_loss());
  }
  const auto mean = [&](size_t first) {
    return std::accumulate(losses.begin() + static_cast<int>(first),
                           losses.begin() + static_cast<int>(first) + 50, 0.0) /
           50;
  };
  EXPECT_LT(mean(250), 0.8 * mean(0));
}

TEST_F(ProgramTest, ClassificationMeasuresAccuracies) {
  const auto program = Create(ResolvedJob(kEpisodes), SmallDataset(8));
  const FlatBuffer parameters = *program->Initialise();
  const auto output = program->RunShard(parameters, Shard(0, 3));
  ASSERT_TRUE(output.ok()) << output.status();
  ASSERT_TRUE(output->metrics.has_meta_accuracy());
  EXPECT_GE(output->metrics.meta_accuracy(), 0);
  EXPECT_LE(output->metrics.meta_accuracy(), 3);
  EXPECT_TRUE(AllFinite(output->update.values()));
}

TEST_F(ProgramTest, EvaluationSumsOfPartsAddUp) {
  const v1::JobSpec spec = ResolvedJob(kEpisodes);
  const auto program = Create(spec, SmallDataset(8));
  const FlatBuffer parameters = *program->Initialise();
  v1::EvaluationProtocol protocol = spec.evaluation().final();
  protocol.set_inner_steps(2);
  for (const auto transduction : {v1::TRANSDUCTION_ALL_QUERIES, v1::TRANSDUCTION_SUPPORT_STATISTICS,
                                  v1::TRANSDUCTION_SINGLE_QUERY}) {
    protocol.set_transduction(transduction);
    const auto whole = program->RunEvaluation(parameters, Episodes(protocol, 0, 7));
    ASSERT_TRUE(whole.ok()) << whole.status();
    EXPECT_EQ(whole->episodes(), 7U);
    ASSERT_EQ(whole->loss_size(), 3);
    ASSERT_EQ(whole->accuracy_size(), 3);
    // Cut where a chunk ends, so that every episode is in the same chunk as before.
    const auto front = program->RunEvaluation(parameters, Episodes(protocol, 0, 4));
    const auto back = program->RunEvaluation(parameters, Episodes(protocol, 4, 7));
    for (int step = 0; step < 3; ++step) {
      EXPECT_NEAR(whole->loss(step), front->loss(step) + back->loss(step), 1e-12);
      EXPECT_NEAR(whole->loss_squares(step), front->loss_squares(step) + back->loss_squares(step),
                  1e-12);
      EXPECT_NEAR(whole->accuracy(step), front->accuracy(step) + back->accuracy(step), 1e-12);
      EXPECT_NEAR(whole->accuracy_squares(step),
                  front->accuracy_squares(step) + back->accuracy_squares(step), 1e-12);
      // A mean square is at least the squared mean.
      EXPECT_GE(whole->loss_squares(step) * 7, whole->loss(step) * whole->loss(step) * 0.999999);
    }
  }
}

TEST_F(ProgramTest, EvaluationOfRegressionHasNoAccuracies) {
  const v1::JobSpec spec = ResolvedJob(kSinusoid);
  const auto program = Create(spec);
  const auto sums =
      program->RunEvaluation(*program->Initialise(), Episodes(spec.evaluation().final(), 3, 9));
  ASSERT_TRUE(sums.ok()) << sums.status();
  EXPECT_EQ(sums->loss_size(), 11);
  EXPECT_EQ(sums->accuracy_size(), 0);
  EXPECT_LT(sums->loss(10), sums->loss(0));
}

TEST_F(ProgramTest, RefusesAModelThatIsTooLargeBeforeTakingMemory) {
  // 70 billion scalars: 280 GB.
  const v1::JobSpec spec = ResolvedJob(
      "model { mlp { hidden: [65536, 65536, 65536, 65536, 65536, 65536, 65536, 65536, 65536, "
      "65536, 65536, 65536, 65536, 65536, 65536, 65536, 65536] } } tasks { sinusoid { } } "
      "algorithm { maml { inner_steps: 1 } } meta_batch: 2 iterations: 1");
  ExpectSays(Program::Create(spec, nullptr, /*max_parameters=*/1'000'000).status(),
             absl::StatusCode::kResourceExhausted, "1000000");
}

TEST_F(ProgramTest, RefusesEvaluationsThatTheDataCannotGive) {
  v1::JobSpec spec = ResolvedJob(kEpisodes);
  const auto dataset = SmallDataset(8);
  const auto program = Create(spec, dataset);
  const FlatBuffer parameters = *program->Initialise();
  v1::EvaluationProtocol protocol = spec.evaluation().final();
  protocol.set_ways(2);
  ExpectSays(program->RunEvaluation(parameters, Episodes(protocol, 0, 2)).status(),
             absl::StatusCode::kInvalidArgument, "evaluation.ways is 2");
  protocol = spec.evaluation().final();
  protocol.set_shots(5);
  ExpectSays(program->RunEvaluation(parameters, Episodes(protocol, 0, 2)).status(),
             absl::StatusCode::kInvalidArgument, "evaluation takes 5 shots and 2 queries");
  *spec.mutable_evaluation()->mutable_final() = protocol;
  ExpectSays(Program::Create(spec, dataset).status(), absl::StatusCode::kInvalidArgument,
             "evaluation.final takes 5 shots");
}

TEST_F(ProgramTest, RefusesMoreInnerStepsThanEvaluationsHave) {
  const v1::JobSpec spec = ResolvedJob(kSinusoid);
  const auto program = Create(spec);
  v1::EvaluationProtocol protocol = spec.evaluation().final();
  for (const uint32_t steps : {10'001U, 2'147'483'647U, 4'294'967'295U}) {
    protocol.set_inner_steps(steps);
    ExpectSays(program->RunEvaluation(*program->Initialise(), Episodes(protocol, 0, 2)).status(),
               absl::StatusCode::kInvalidArgument,
               absl::StrCat("evaluation.inner_steps is ", steps, "; it must be 0 to 10000"));
  }
}

TEST_F(ProgramTest, RefusesWorkThatIsNotTheJobs) {
  const v1::JobSpec spec = ResolvedJob(kSinusoid);
  const auto program = Create(spec);
  const FlatBuffer parameters = *program->Initialise();
  ExpectSays(program->RunShard(parameters, Shard(4, 11)).status(),
             absl::StatusCode::kInvalidArgument, "have 10 tasks");
  ExpectSays(program->RunShard(parameters, Shard(4, 4)).status(),
             absl::StatusCode::kInvalidArgument, "tasks 4 to 4");
  ExpectSays(program->RunShard(FlatBuffer(16), Shard(0, 1)).status(),
             absl::StatusCode::kInvalidArgument, "parameters hold 16 values");
  const v1::EvaluationProtocol& protocol = spec.evaluation().final();
  ExpectSays(
      program->RunEvaluation(parameters, Episodes(protocol, 0, protocol.episodes() + 1)).status(),
      absl::StatusCode::kInvalidArgument, "episodes 0 to 1001");
}

TEST_F(ProgramTest, SaysInOneLineWhenMemoryDoesNotSuffice) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers end the process when memory does not suffice";
#endif
  int overcommit = 1;
  std::ifstream("/proc/sys/vm/overcommit_memory") >> overcommit;
  if (overcommit == 1) {
    GTEST_SKIP() << "this machine promises any amount of memory (vm.overcommit_memory is 1)";
  }
  // Activations of 32 x 100,000 x 65,536 values: 840 GB.
  const auto program =
      Create(ResolvedJob("model { mlp { hidden: [65536] } } tasks { sinusoid { shots: 100000 } } "
                         "algorithm { maml { inner_steps: 1 } } meta_batch: 32 tasks_per_shard: 32 "
                         "tasks_per_chunk: 32 iterations: 1"));
  ExpectSays(program->RunShard(*program->Initialise(), Shard(0, 32)).status(),
             absl::StatusCode::kResourceExhausted, "iteration 7: ");
}

TEST(Fingerprint, NamesTheProcessorAndTheLibrary) {
  const v1::NumericsFingerprint fingerprint = Fingerprint();
  EXPECT_EQ(fingerprint.libtorch(), LibTorchVersion());
  EXPECT_EQ(fingerprint.libtorch(), "2.11.0");
  EXPECT_FALSE(fingerprint.numerics_version().empty());
  EXPECT_FALSE(fingerprint.device().empty());
  EXPECT_FALSE(fingerprint.math().empty());
  EXPECT_EQ(fingerprint.SerializeAsString(), Fingerprint().SerializeAsString());
}

}  // namespace
}  // namespace innerloop::meta
