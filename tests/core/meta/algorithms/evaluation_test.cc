// Which examples may influence the prediction of a query.
#include "core/meta/algorithms/evaluation.h"

#include <gtest/gtest.h>

#include "tests/core/meta/test_jobs.h"

namespace innerloop::meta {
namespace {

const TaskShape kPoints{.input = {2}, .outputs = 1, .classification = false};
const TaskShape kImages{.input = {8, 8, 1}, .outputs = 3, .classification = true};

// A model with random parameters of `count` tasks, in float64.
struct RandomModel {
  RandomModel(const std::string& text, const TaskShape& shape, int64_t count) {
    v1::ModelSpec spec =
        ResolvedJob(
            absl::StrCat(
                "model { ", text,
                " } tasks { episodes { dataset: 'd' ways: 3 shots: 2 split { counts { train: "
                "3 } } } } algorithm { maml { inner_steps: 1 } } meta_batch: 4 iterations: 1 "
                "evaluation { skip_final: true }"))
            .model();
    model = *CreateModel(spec, shape);
    for (const ModelParameter& parameter : model->parameters()) {
      std::vector<int64_t> sizes = {count};
      sizes.insert(sizes.end(), parameter.shape.begin(), parameter.shape.end());
      parameters.push_back(torch::randn(sizes, torch::kDouble) * 0.5);
    }
  }
  std::unique_ptr<Model> model;
  Tensors parameters;
};

double Difference(const Tensor& a, const Tensor& b) { return (a - b).abs().max().item<double>(); }

class TransductionTest : public ::testing::Test {
 protected:
  TransductionTest() {
    torch::manual_seed(41);
    tasks_ = RandomTasks(kImages, /*tasks=*/3, /*support=*/6, /*queries=*/5, torch::kDouble);
    others_ = tasks_;
    others_.query.inputs = tasks_.query.inputs.clone();
    others_.query.inputs.narrow(1, 1, 4).normal_();  // all queries but the first
  }
  // How much the first query's outputs depend on the other queries.
  double Influence(const RandomModel& random, v1::Transduction transduction) const {
    const Tensor a = QueryOutputs(*random.model, random.parameters, tasks_, transduction);
    const Tensor b = QueryOutputs(*random.model, random.parameters, others_, transduction);
    EXPECT_EQ(a.sizes(), (std::vector<int64_t>{3, 5, 3}));
    return Difference(a.select(1, 0), b.select(1, 0));
  }
  TaskBatch tasks_;
  TaskBatch others_;
};

TEST_F(TransductionTest, QueriesInfluenceEachOtherInOneBatchOnly) {
  const RandomModel random("conv4 { filters: 4 }", kImages, 3);
  EXPECT_GT(Influence(random, v1::TRANSDUCTION_ALL_QUERIES), 1e-3);
  EXPECT_LT(Influence(random, v1::TRANSDUCTION_SUPPORT_STATISTICS), 1e-12);
  EXPECT_LT(Influence(random, v1::TRANSDUCTION_SINGLE_QUERY), 1e-12);
}

TEST_F(TransductionTest, SupportSetInfluencesAllButTheOneBatch) {
  const RandomModel random("conv4 { filters: 4 }", kImages, 3);
  TaskBatch other = tasks_;
  other.support.inputs = torch::randn_like(tasks_.support.inputs);
  const auto influence = [&](v1::Transduction transduction) {
    return Difference(QueryOutputs(*random.model, random.parameters, tasks_, transduction),
                      QueryOutputs(*random.model, random.parameters, other, transduction));
  };
  EXPECT_EQ(influence(v1::TRANSDUCTION_ALL_QUERIES), 0);
  EXPECT_GT(influence(v1::TRANSDUCTION_SUPPORT_STATISTICS), 1e-3);
  EXPECT_GT(influence(v1::TRANSDUCTION_SINGLE_QUERY), 1e-3);
}

TEST_F(TransductionTest, WithoutBatchNormTheThreeAgree) {
  const RandomModel random("conv4 { filters: 4 norm: NORM_LAYER }", kImages, 3);
  const auto outputs = [&](v1::Transduction transduction) {
    return QueryOutputs(*random.model, random.parameters, tasks_, transduction);
  };
  const Tensor all = outputs(v1::TRANSDUCTION_ALL_QUERIES);
  EXPECT_LT(Difference(outputs(v1::TRANSDUCTION_SUPPORT_STATISTICS), all), 1e-12);
  EXPECT_LT(Difference(outputs(v1::TRANSDUCTION_SINGLE_QUERY), all), 1e-12);
}

TEST(SingleQuery, IsABatchOfTheSupportSetAndThatQuery) {
  torch::manual_seed(43);
  // Inputs so large that the queries go through in several pieces, the last one smaller.
  const TaskShape shape{.input = {4096}, .outputs = 3, .classification = true};
  const RandomModel random("mlp { hidden: [4] batch_norm: true }", shape, 4);
  const TaskBatch tasks =
      RandomTasks(shape, /*tasks=*/4, /*support=*/5, /*queries=*/10, torch::kDouble);
  const Tensor outputs =
      QueryOutputs(*random.model, random.parameters, tasks, v1::TRANSDUCTION_SINGLE_QUERY);
  for (int64_t q = 0; q < 10; ++q) {
    const Tensor batch = torch::cat({tasks.support.inputs, tasks.query.inputs.narrow(1, q, 1)}, 1);
    const Tensor expected = random.model->Forward(random.parameters, batch, {}).select(1, 5);
    EXPECT_LT(Difference(outputs.select(1, q), expected), 1e-10) << q;
  }
}

TEST(Evaluation, FoldsQueriesOfImagesAndCountsTheSameAccuracies) {
  torch::manual_seed(44);
  const auto algorithm = MakeAlgorithm(
      "conv4 { filters: 4 norm: NORM_NONE }",
      "maml { inner_steps: 1 inner_optimizer { sgd { learning_rate: 0.5 } } }", kImages);
  const TaskBatch tasks = RandomTasks(kImages, 3, 6, 5, torch::kDouble);
  const Tensors theta = RandomTheta(*algorithm, torch::kDouble);
  std::vector<Tensor> measured;
  for (const auto transduction : {v1::TRANSDUCTION_ALL_QUERIES, v1::TRANSDUCTION_SINGLE_QUERY,
                                  v1::TRANSDUCTION_SUPPORT_STATISTICS}) {
    Tensors values;
    algorithm->Evaluate(theta, tasks, {.steps = 4, .transduction = transduction},
                        [&](int64_t, const Tensor& losses, const Tensor& accuracies) {
                          values.push_back(losses);
                          values.push_back(accuracies);
                        });
    ASSERT_EQ(values.size(), 10U);
    measured.push_back(torch::stack(values));
  }
  EXPECT_LT(Difference(measured[1], measured[0]), 1e-10);
  EXPECT_LT(Difference(measured[2], measured[0]), 1e-10);
}

// Losses [steps + 1, T] of the tasks' queries.
Tensor LossesBySteps(const std::string& learning_rate, const TaskBatch& tasks,
                     int64_t line_search) {
  torch::manual_seed(45);
  const auto algorithm = MakeAlgorithm(
      "mlp { hidden: [8] }",
      "maml { inner_steps: 1 inner_optimizer { sgd { learning_rate: " + learning_rate + " } } }",
      kPoints);
  const Tensors theta = RandomTheta(*algorithm, torch::kDouble);
  Tensors losses;
  algorithm->Evaluate(theta, tasks, {.steps = 4, .line_search = line_search},
                      [&](int64_t, const Tensor& step, const Tensor&) { losses.push_back(step); });
  return torch::stack(losses);
}

TEST(LineSearch, KeepsTheSupportLossFromRising) {
  torch::manual_seed(46);
  TaskBatch tasks = RandomTasks(kPoints, /*tasks=*/6, /*support=*/5, /*queries=*/5, torch::kDouble);
  tasks.query = tasks.support;  // what is measured is then the support loss
  const Tensor plain = LossesBySteps("5", tasks, /*line_search=*/0);
  EXPECT_TRUE((plain[4] > plain[0]).any().item<bool>()) << "steps of this size ought to diverge";
  const Tensor searched = LossesBySteps("5", tasks, /*line_search=*/30);
  for (int64_t step = 0; step < 4; ++step) {
    EXPECT_TRUE((searched[step + 1] <= searched[step]).all().item<bool>()) << searched;
  }
  EXPECT_TRUE((searched[4] < searched[0]).all().item<bool>()) << "and it still adapts";
}

TEST(LineSearch, LeavesTasksAloneWhoseLossFalls) {
  torch::manual_seed(47);
  TaskBatch tasks = RandomTasks(kPoints, 6, 5, 5, torch::kDouble);
  tasks.query = tasks.support;
  const Tensor plain = LossesBySteps("1e-4", tasks, 0);
  ASSERT_TRUE((plain[4] < plain[0]).all().item<bool>());
  EXPECT_TRUE(torch::equal(LossesBySteps("1e-4", tasks, 30), plain));
}

}  // namespace
}  // namespace innerloop::meta
