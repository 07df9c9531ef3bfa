// Matching and Prototypical Networks against one task at a time in plain loops.
#include "core/meta/algorithms/metric.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>

#include <gtest/gtest.h>

#include "tests/core/meta/algorithms/plain_metric.h"
#include "tests/core/meta/test_jobs.h"

namespace innerloop::meta {
namespace {

constexpr int64_t kClasses = 3;
const TaskShape kPoints{.input = {5}, .outputs = kClasses, .classification = true};
const TaskShape kImages{.input = {8, 8, 1}, .outputs = kClasses, .classification = true};
constexpr char kMlp[] = "mlp { hidden: [6] activation: ACTIVATION_TANH }";
constexpr char kBatchNorm[] = "mlp { hidden: [6] activation: ACTIVATION_TANH batch_norm: true }";

struct Measured {
  Tensor losses;
  Tensor accuracies;
};

Measured Measure(const Algorithm& algorithm, const Tensors& theta, const TaskBatch& tasks,
                 v1::Transduction transduction = v1::TRANSDUCTION_SUPPORT_STATISTICS) {
  Measured measured;
  int calls = 0;
  algorithm.Evaluate(theta, tasks, {.steps = 0, .transduction = transduction},
                     [&](int64_t step, const Tensor& losses, const Tensor& accuracies) {
                       EXPECT_EQ(step, 0);
                       EXPECT_EQ(++calls, 1);
                       measured = {losses, accuracies};
                     });
  return measured;
}

// Random weights of which some are 0, though none of a class's first example.
void Weigh(TaskBatch& tasks) {
  for (Examples* examples : {&tasks.support, &tasks.query}) {
    examples->weights = torch::rand(examples->targets.sizes(), torch::kDouble) + 0.5;
    examples->weights.narrow(1, kClasses, 2).zero_();
  }
}

double WeightAt(const Examples& examples, int64_t t, int64_t i) {
  return examples.weights.defined() ? examples.weights[t][i].item<double>() : 1;
}

plain::Support PlainSupport(const Tensor& embeddings, const Examples& support, int64_t t) {
  plain::Support result{.embeddings = plain::RowsOf(embeddings), .labels = {}, .weights = {}};
  for (int64_t i = 0; i < support.count(); ++i) {
    result.labels.push_back(support.targets[t][i].item<int64_t>());
    result.weights.push_back(WeightAt(support, t, i));
  }
  return result;
}

// The embeddings [n, d] by kMlp.
Tensor PlainEmbeddings(const Tensors& theta, const Tensor& inputs) {
  const Tensor hidden = (inputs.matmul(theta[0]) + theta[1]).tanh();
  return theta.size() > 2 && theta[2].size(0) == 6 ? hidden.matmul(theta[2]) + theta[3] : hidden;
}

// Of task t: probabilities of a query's classes.
using PlainMethod =
    std::function<plain::Row(const Tensors& theta, const plain::Support&, const plain::Row& query)>;

void ExpectTheSame(const Algorithm& algorithm, const TaskBatch& tasks, const PlainMethod& method,
                   const std::function<Tensor(const Tensors&, const Tensor&)>& query_embeddings) {
  const Tensors theta = RandomTheta(algorithm, torch::kDouble);
  const Measured measured = Measure(algorithm, theta, tasks);
  double sum = 0;
  for (int64_t t = 0; t < tasks.tasks(); ++t) {
    const plain::Support support =
        PlainSupport(PlainEmbeddings(theta, tasks.support.inputs[t]), tasks.support, t);
    const plain::Rows queries = plain::RowsOf(query_embeddings(theta, tasks.query.inputs[t]));
    double loss = 0;
    double right = 0;
    double total = 0;
    for (int64_t q = 0; q < tasks.query.count(); ++q) {
      const plain::Row probabilities = method(theta, support, queries[static_cast<size_t>(q)]);
      const auto label = tasks.query.targets[t][q].item<int64_t>();
      const double weight = WeightAt(tasks.query, t, q);
      loss -= weight * std::log(probabilities[static_cast<size_t>(label)]);
      const auto best = std::max_element(probabilities.begin(), probabilities.end());
      right += best - probabilities.begin() == label ? weight : 0;
      total += weight;
    }
    EXPECT_NEAR(measured.losses[t].item<double>(), loss / total, 1e-7 * loss);
    EXPECT_NEAR(measured.accuracies[t].item<double>(), right / total, 1e-12);
    sum += loss / total;
  }
  TaskSums sums;
  UpdatesOf(algorithm, theta, tasks, &sums);
  EXPECT_NEAR(sums.meta_loss, sum, 1e-7 * sum);
}

class PlainMetricTest : public ::testing::TestWithParam<bool> {
 protected:
  PlainMetricTest() {
    torch::manual_seed(51);
    tasks_ = RandomTasks(kPoints, /*tasks=*/3, /*support=*/8, /*queries=*/10, torch::kDouble);
    if (GetParam()) {
      Weigh(tasks_);
    }
  }
  TaskBatch tasks_;
};
INSTANTIATE_TEST_SUITE_P(WithAndWithoutWeights, PlainMetricTest, ::testing::Bool());

TEST_P(PlainMetricTest, PrototypicalNetworksOfBothDistancesEqualATaskAtATime) {
  for (const bool cosine : {false, true}) {
    for (const char* size : {"", "embedding_size: 4"}) {
      const auto algorithm = MakeAlgorithm(
          kMlp,
          absl::StrCat("prototypical_networks { ", size,
                       cosine ? " distance: DISTANCE_COSINE scale: 7 }" : " scale: 0.5 }"),
          kPoints);
      ExpectTheSame(
          *algorithm, tasks_,
          [&](const Tensors&, const plain::Support& support, const plain::Row& query) {
            return plain::ByPrototypes(support, query, kClasses, cosine, cosine ? 7 : 0.5);
          },
          PlainEmbeddings);
    }
  }
}

TEST_P(PlainMetricTest, MatchingNetworksEqualATaskAtATime) {
  const auto algorithm =
      MakeAlgorithm(kMlp, "matching_networks { embedding_size: 4 scale: 6 }", kPoints);
  ExpectTheSame(
      *algorithm, tasks_,
      [&](const Tensors&, const plain::Support& support, const plain::Row& query) {
        return plain::ByAttention(support, query, kClasses, 6);
      },
      PlainEmbeddings);
}

TEST_P(PlainMetricTest, QueriesMayHaveAnEncoderOfTheirOwn) {
  const auto algorithm =
      MakeAlgorithm(kMlp, "matching_networks { separate_query_encoder: true scale: 6 }", kPoints);
  ASSERT_EQ(algorithm->meta_parameters().size(), 4U);
  EXPECT_EQ(algorithm->meta_parameters()[0].spec.name(), "model.hidden1.weight");
  EXPECT_EQ(algorithm->meta_parameters()[2].spec.name(), "query_model.hidden1.weight");
  ExpectTheSame(
      *algorithm, tasks_,
      [&](const Tensors&, const plain::Support& support, const plain::Row& query) {
        return plain::ByAttention(support, query, kClasses, 6);
      },
      [](const Tensors& theta, const Tensor& inputs) {
        return PlainEmbeddings({theta[2], theta[3]}, inputs);
      });
}

TEST_P(PlainMetricTest, FullContextEqualsPlainLstms) {
  for (const char* size : {"", "embedding_size: 4"}) {
    const auto algorithm = MakeAlgorithm(
        kMlp,
        absl::StrCat("matching_networks { ", size, " scale: 6 full_context { read_steps: 3 } }"),
        kPoints);
    const size_t context = *size == '\0' ? 2 : 4;
    ASSERT_EQ(algorithm->meta_parameters().size(), context + 6);
    EXPECT_EQ(algorithm->meta_parameters()[context].spec.name(), "context.forward.weight");
    ExpectTheSame(
        *algorithm, tasks_,
        [&](const Tensors& theta, const plain::Support& support, const plain::Row& query) {
          const auto cell = [&](size_t i) {
            const Tensor bias = theta[context + 2 * i + 1].unsqueeze(0);
            return plain::Cell{plain::RowsOf(theta[context + 2 * i]), plain::RowsOf(bias)[0]};
          };
          plain::Support seen = support;
          seen.embeddings = plain::SupportInContext(cell(0), cell(1), support);
          return plain::ByAttention(seen, plain::QueryInContext(cell(2), query, seen, 3), kClasses,
                                    6);
        },
        PlainEmbeddings);
  }
}

// The sum of the tasks' losses at theta + step * direction.
double LossAt(const Algorithm& algorithm, const Tensors& theta, const Tensors& direction,
              double step, const TaskBatch& tasks) {
  Tensors moved;
  for (size_t i = 0; i < theta.size(); ++i) {
    moved.push_back(theta[i] + step * direction[i]);
  }
  return Measure(algorithm, moved, tasks).losses.sum().item<double>();
}

TEST(MetricGradient, AgreesWithFiniteDifferences) {
  const std::pair<const char*, const char*> cases[] = {
      {kMlp, "prototypical_networks { embedding_size: 4 }"},
      {kMlp, "prototypical_networks { distance: DISTANCE_COSINE }"},
      {kBatchNorm, "prototypical_networks { scale: 0.1 }"},
      {kBatchNorm, "matching_networks { }"},
      {kBatchNorm, "matching_networks { separate_query_encoder: true embedding_size: 3 }"},
      {kBatchNorm, "matching_networks { full_context { read_steps: 2 } }"},
  };
  for (const bool weights : {false, true}) {
    for (const auto& [model, method] : cases) {
      torch::manual_seed(52);
      const auto algorithm = MakeAlgorithm(model, method, kPoints);
      TaskBatch tasks = RandomTasks(kPoints, 3, 8, 10, torch::kDouble);
      if (weights) {
        Weigh(tasks);
      }
      const Tensors theta = RandomTheta(*algorithm, torch::kDouble);
      const Tensors updates = UpdatesOf(*algorithm, theta, tasks);
      for (int trial = 0; trial < 3; ++trial) {
        const Tensors direction = RandomTheta(*algorithm, torch::kDouble);
        constexpr double kStep = 1e-4;
        const auto at = [&](double step) {
          return LossAt(*algorithm, theta, direction, step, tasks);
        };
        const double difference =
            (8 * (at(kStep) - at(-kStep)) - (at(2 * kStep) - at(-2 * kStep))) / (12 * kStep);
        EXPECT_NEAR((Flatten(updates) * Flatten(direction)).sum().item<double>(), difference,
                    1e-7 * (1 + std::abs(difference)))
            << method << " on " << model << (weights ? ", weighted" : "");
      }
    }
  }
}

class MetricEvaluation : public ::testing::TestWithParam<const char*> {
 protected:
  MetricEvaluation() { torch::manual_seed(53); }
  std::unique_ptr<Algorithm> Make(const char* model) const {
    return MakeAlgorithm(model, GetParam(), kImages);
  }
};
INSTANTIATE_TEST_SUITE_P(
    Methods, MetricEvaluation,
    ::testing::Values("prototypical_networks { }", "matching_networks { }",
                      "matching_networks { separate_query_encoder: true full_context { } }"));

TEST_P(MetricEvaluation, AQueryIsJudgedWithoutTheOthersUnlessAllAreInOneBatch) {
  const auto algorithm = Make("conv4 { filters: 4 head: HEAD_FLATTEN }");
  TaskBatch tasks = RandomTasks(kImages, /*tasks=*/2, /*support=*/6, /*queries=*/5, torch::kDouble);
  // Losses are means over the queries: of the first alone by weights.
  tasks.query.weights = torch::zeros({2, 5}, torch::kDouble);
  tasks.query.weights.select(1, 0).fill_(1);
  TaskBatch others = tasks;
  others.query.inputs = tasks.query.inputs.clone();
  others.query.inputs.narrow(1, 1, 4).normal_();
  const Tensors theta = RandomTheta(*algorithm, torch::kDouble);
  const auto influence = [&](v1::Transduction transduction) {
    const Tensor a = Measure(*algorithm, theta, tasks, transduction).losses;
    const Tensor b = Measure(*algorithm, theta, others, transduction).losses;
    return ((a - b).abs().max() / a.abs().max()).item<double>();
  };
  EXPECT_LT(influence(v1::TRANSDUCTION_SUPPORT_STATISTICS), 1e-12);
  EXPECT_LT(influence(v1::TRANSDUCTION_SINGLE_QUERY), 1e-12);
  EXPECT_GT(influence(v1::TRANSDUCTION_ALL_QUERIES), 1e-4);
  // Nor does training let them.
  EXPECT_LT(RelativeError(Flatten(UpdatesOf(*algorithm, theta, others)),
                          Flatten(UpdatesOf(*algorithm, theta, tasks))),
            1e-10);
}

TEST_P(MetricEvaluation, TasksMayHaveOtherClassesThanTraining) {
  constexpr char kModel[] = "conv4 { filters: 4 norm: NORM_LAYER }";
  TaskShape wider = kImages;
  wider.outputs = 7;
  const auto algorithm = Make(kModel);
  const auto made_for_them = MakeAlgorithm(kModel, GetParam(), wider);
  EXPECT_TRUE(algorithm->AnyWays());
  const Tensors theta = RandomTheta(*algorithm, torch::kDouble);
  const TaskBatch tasks =
      RandomTasks(wider, /*tasks=*/2, /*support=*/14, /*queries=*/7, torch::kDouble);
  const Measured measured = Measure(*algorithm, theta, tasks);
  EXPECT_TRUE(measured.losses.isfinite().all().item<bool>());
  EXPECT_TRUE(torch::equal(measured.losses, Measure(*made_for_them, theta, tasks).losses));
}

TEST_P(MetricEvaluation, AClassWithoutSupportIsNeverPredictedAndLeavesGradientsFinite) {
  const auto algorithm = Make("conv4 { filters: 4 norm: NORM_LAYER }");
  const Tensors theta = RandomTheta(*algorithm, torch::kDouble);
  TaskBatch tasks = RandomTasks(kImages, /*tasks=*/2, /*support=*/6, /*queries=*/3, torch::kDouble);
  tasks.support.weights = (tasks.support.targets != 1).to(torch::kDouble);
  const Measured measured = Measure(*algorithm, theta, tasks);
  EXPECT_LE(measured.accuracies.max().item<double>(), 2.0 / 3 + 1e-9);
  EXPECT_TRUE(measured.losses.isfinite().all().item<bool>());
  EXPECT_GT(measured.losses.min().item<double>(), 23 * std::log(2.0) / 3 - 1e-6);
  EXPECT_TRUE(Flatten(UpdatesOf(*algorithm, theta, tasks)).isfinite().all().item<bool>());
}

TEST(MetricMethods, AQueryThatIsASupportExampleIsRecognised) {
  torch::manual_seed(55);
  TaskShape wider = kPoints;
  wider.outputs = 7;
  TaskBatch tasks = RandomTasks(wider, /*tasks=*/2, /*support=*/7, /*queries=*/7, torch::kDouble);
  tasks.query.inputs = tasks.support.inputs;
  for (const char* method : {"prototypical_networks { }", "matching_networks { }"}) {
    const auto algorithm = MakeAlgorithm(kMlp, method, kPoints);
    const Tensors theta = RandomTheta(*algorithm, torch::kDouble);
    EXPECT_EQ(Measure(*algorithm, theta, tasks).accuracies.min().item<double>(), 1) << method;
  }
}

TEST(MatchingNetworks, StaysFiniteWhereOneClassesAttentionUnderflows) {
  torch::manual_seed(54);
  const auto algorithm = MakeAlgorithm(kMlp, "matching_networks { scale: 1000 }", kPoints);
  const TaskBatch tasks = RandomTasks(kPoints, 2, 6, 9, torch::kFloat);
  const Tensors theta = RandomTheta(*algorithm, torch::kFloat);
  const Measured measured = Measure(*algorithm, theta, tasks);
  EXPECT_TRUE(measured.losses.isfinite().all().item<bool>());
  EXPECT_GT(measured.losses.max().item<double>(), 88) << "exp(-88) is 0 in float32";
  const Tensor updates = Flatten(UpdatesOf(*algorithm, theta, tasks));
  EXPECT_TRUE(updates.isfinite().all().item<bool>());
  EXPECT_GT(updates.abs().max().item<double>(), 0);
}

}  // namespace
}  // namespace innerloop::meta
