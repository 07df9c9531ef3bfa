// The fused engine as an Algorithm, against the same job by automatic differentiation.
#include "core/meta/fused/fused_maml.h"

#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "core/meta/program.h"
#include "tests/core/meta/test_jobs.h"

namespace innerloop::meta {
namespace {

const TaskShape kCurves{.input = {2}, .outputs = 3, .classification = false};
const TaskShape kImages{.input = {5, 3, 2}, .outputs = 4, .classification = true};
constexpr char kMlp[] = "mlp { hidden: [40, 17] activation: ACTIVATION_TANH }";

v1::JobSpec Job(const std::string& model, const std::string& order, const TaskShape& shape) {
  const std::string tasks = shape.classification
                                ? absl::StrCat("episodes { dataset: 'd' ways: ", shape.outputs,
                                               " shots: 1 split { counts { train: 50 } } }")
                                : "sinusoid { }";
  return ResolvedJob(absl::StrCat(
      "model { ", model, " } tasks { ", tasks, " } algorithm { maml { order: ", order,
      " inner_steps: 3 inner_optimizer { sgd { learning_rate: 0.03 } } } } meta_batch: 4 "
      "iterations: 1"));
}

std::unique_ptr<Algorithm> ByEngine(v1::JobSpec job, const TaskShape& shape,
                                    v1::ComputeSpec::Engine engine) {
  job.mutable_compute()->set_engine(engine);
  absl::StatusOr<std::unique_ptr<Algorithm>> algorithm = CreateAlgorithm(job, shape);
  EXPECT_TRUE(algorithm.ok()) << algorithm.status();
  return algorithm.ok() ? *std::move(algorithm) : nullptr;
}

struct Both {
  Both(const v1::JobSpec& job, const TaskShape& shape)
      : fused(ByEngine(job, shape, v1::ComputeSpec::ENGINE_FUSED)),
        autograd(ByEngine(job, shape, v1::ComputeSpec::ENGINE_AUTOGRAD)) {}
  std::unique_ptr<Algorithm> fused;
  std::unique_ptr<Algorithm> autograd;
};

struct Outcome {
  Tensors updates;
  TaskSums sums;
};
Outcome OutcomeOf(const Algorithm& algorithm, const Tensors& theta, const TaskBatch& tasks,
                  bool detailed = true) {
  Outcome outcome;
  for (const Tensor& tensor : theta) {
    outcome.updates.push_back(torch::zeros_like(tensor));
  }
  algorithm.AddUpdates(theta, tasks, detailed, outcome.updates, outcome.sums);
  return outcome;
}

void ExpectClose(const Tensors& actual, const Tensors& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    const double difference = (actual[i] - expected[i]).norm().item<double>();
    EXPECT_LE(difference, 2e-5 * expected[i].norm().item<double>()) << "tensor " << i;
  }
}

// NaNs, for what was not measured, are equal too.
void ExpectSame(double actual, double expected) {
  if (std::isnan(expected)) {
    EXPECT_TRUE(std::isnan(actual));
  } else {
    EXPECT_NEAR(actual, expected, 1e-5 * (1 + std::abs(expected)));
  }
}

void ExpectSame(const TaskSums& actual, const TaskSums& expected) {
  ExpectSame(actual.meta_loss, expected.meta_loss);
  ExpectSame(actual.meta_accuracy, expected.meta_accuracy);
  ExpectSame(actual.support_loss_before, expected.support_loss_before);
  ExpectSame(actual.support_loss_after, expected.support_loss_after);
  ExpectSame(actual.query_loss_before, expected.query_loss_before);
}

class FusedMamlTest : public ::testing::Test {
 protected:
  FusedMamlTest() {
    PrepareComputeThread();
    torch::manual_seed(3);
  }

  TaskBatch Tasks(const TaskShape& shape, torch::ScalarType type = torch::kFloat32) {
    return RandomTasks(shape, /*tasks=*/5, /*support=*/6, /*queries=*/9, type);
  }
};

TEST_F(FusedMamlTest, UpdatesAndMeasuresAgreeWithAutomaticDifferentiation) {
  for (const TaskShape& shape : {kCurves, kImages}) {
    for (const std::string model :
         {"linear { }", "mlp { hidden: [40, 40] activation: ACTIVATION_TANH }",
          "mlp { hidden: 33 activation: ACTIVATION_RELU }",
          "mlp { hidden: [8, 70, 5] activation: ACTIVATION_LEAKY_RELU }"}) {
      for (const std::string order : {"ORDER_SECOND", "ORDER_HVP", "ORDER_FIRST"}) {
        SCOPED_TRACE(absl::StrCat(model, " ", order, " ", shape.classification));
        const Both by(Job(model, order, shape), shape);
        const Tensors theta = RandomTheta(*by.autograd, torch::kFloat32);
        const TaskBatch tasks = Tasks(shape);
        for (const bool detailed : {true, false}) {
          const Outcome expected = OutcomeOf(*by.autograd, theta, tasks, detailed);
          const Outcome actual = OutcomeOf(*by.fused, theta, tasks, detailed);
          ExpectClose(actual.updates, expected.updates);
          ExpectSame(actual.sums, expected.sums);
        }
      }
    }
  }
}

TEST_F(FusedMamlTest, WeightedExamplesAgreeWithAutomaticDifferentiation) {
  const Both by(Job(kMlp, "ORDER_SECOND", kImages), kImages);
  const Tensors theta = RandomTheta(*by.autograd, torch::kFloat32);
  TaskBatch tasks = Tasks(kImages);
  tasks.support.weights = (torch::rand({5, 6}) > 0.3).to(torch::kFloat32);
  tasks.query.weights = torch::rand({5, 9});
  // A task of padding alone.
  tasks.support.weights[2].zero_();
  const Outcome expected = OutcomeOf(*by.autograd, theta, tasks);
  const Outcome actual = OutcomeOf(*by.fused, theta, tasks);
  ExpectClose(actual.updates, expected.updates);
  ExpectSame(actual.sums, expected.sums);
}

TEST_F(FusedMamlTest, EvaluationAgreesWithAutomaticDifferentiationAfterEachStep) {
  for (const TaskShape& shape : {kCurves, kImages}) {
    const Both by(Job(kMlp, "ORDER_SECOND", shape), shape);
    const Tensors theta = RandomTheta(*by.autograd, torch::kFloat32);
    const TaskBatch tasks = Tasks(shape);
    std::vector<std::pair<Tensor, Tensor>> expected;
    by.autograd->Evaluate(theta, tasks, {.steps = 4, .transduction = v1::TRANSDUCTION_SINGLE_QUERY},
                          [&](int64_t, const Tensor& losses, const Tensor& accuracies) {
                            expected.emplace_back(losses, accuracies);
                          });
    int64_t steps = 0;
    by.fused->Evaluate(theta, tasks, {.steps = 4, .transduction = v1::TRANSDUCTION_SINGLE_QUERY},
                       [&](int64_t step, const Tensor& losses, const Tensor& accuracies) {
                         ASSERT_EQ(step, steps++);
                         EXPECT_TRUE(torch::allclose(losses, expected[step].first, 1e-5, 1e-6));
                         ASSERT_EQ(accuracies.defined(), shape.classification);
                         if (shape.classification) {
                           EXPECT_TRUE(torch::allclose(accuracies, expected[step].second, 1e-6));
                         }
                       });
    EXPECT_EQ(steps, 5);
  }
}

TEST_F(FusedMamlTest, LayoutAndInitialisationAreThoseOfAutomaticDifferentiation) {
  const Both by(Job(kMlp, "ORDER_SECOND", kImages), kImages);
  const auto& fused = by.fused->meta_parameters();
  const auto& autograd = by.autograd->meta_parameters();
  ASSERT_EQ(fused.size(), autograd.size());
  for (size_t i = 0; i < fused.size(); ++i) {
    EXPECT_EQ(fused[i].spec.SerializeAsString(), autograd[i].spec.SerializeAsString());
    EXPECT_EQ(fused[i].initialiser.kind, autograd[i].initialiser.kind);
  }
}

TEST_F(FusedMamlTest, UpdatesAddToWhatIsThereWhateverTheStrides) {
  const Both by(Job(kMlp, "ORDER_SECOND", kCurves), kCurves);
  const Tensors theta = RandomTheta(*by.autograd, torch::kFloat32);
  TaskBatch tasks = Tasks(kCurves);
  const Outcome once = OutcomeOf(*by.fused, theta, tasks);
  Tensors strided;
  Tensors ones;
  for (const Tensor& tensor : theta) {
    strided.push_back(tensor.t().contiguous().t());
    ones.push_back(torch::ones_like(tensor.t()).t());
  }
  tasks.query.inputs = tasks.query.inputs.transpose(0, 2).contiguous().transpose(0, 2);
  TaskSums sums;
  by.fused->AddUpdates(strided, tasks, false, ones, sums);
  for (size_t i = 0; i < ones.size(); ++i) {
    EXPECT_TRUE(torch::allclose(ones[i], once.updates[i] + 1, 1e-6, 1e-6));
  }
}

TEST_F(FusedMamlTest, Float64IsComputedInFloat64) {
  const Both by(Job(kMlp, "ORDER_SECOND", kCurves), kCurves);
  const Tensors theta = RandomTheta(*by.autograd, torch::kDouble);
  const TaskBatch tasks = Tasks(kCurves, torch::kDouble);
  const Outcome expected = OutcomeOf(*by.autograd, theta, tasks);
  const Outcome actual = OutcomeOf(*by.fused, theta, tasks);
  for (size_t i = 0; i < theta.size(); ++i) {
    EXPECT_TRUE(torch::equal(actual.updates[i], expected.updates[i]));
  }
}

TEST_F(FusedMamlTest, ClassesOutsideTheOutputsAreRefused) {
  const Both by(Job(kMlp, "ORDER_SECOND", kImages), kImages);
  const Tensors theta = RandomTheta(*by.autograd, torch::kFloat32);
  TaskBatch tasks = Tasks(kImages);
  tasks.query.targets[1][2] = 4;
  EXPECT_THROW(OutcomeOf(*by.fused, theta, tasks), c10::Error);
}

TEST_F(FusedMamlTest, JobsThatTheKernelsDoNotCoverAreRefused) {
  v1::JobSpec job = Job(kMlp, "ORDER_SECOND", kImages);
  job.mutable_model()->mutable_mlp()->set_batch_norm(true);
  job.mutable_compute()->set_engine(v1::ComputeSpec::ENGINE_FUSED);
  const auto algorithm = CreateAlgorithm(job, kImages);
  ASSERT_FALSE(algorithm.ok());
  EXPECT_NE(algorithm.status().message().find("model.mlp.batch_norm; take ENGINE_AUTOGRAD"),
            absl::string_view::npos)
      << algorithm.status();
}

}  // namespace
}  // namespace innerloop::meta
