// The LSTM meta-learner against loops over single coordinates in plain float64 arithmetic.
#include <cmath>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "core/meta/algorithms/coordinate_lstm.h"
#include "core/meta/memory_meter.h"
#include "core/meta/objectives/loss.h"
#include "tests/core/meta/meta_gradients.h"

namespace innerloop::meta {
namespace {

const TaskShape kCurves{.input = {2}, .outputs = 3, .classification = false};
const TaskShape kImages{.input = {8, 8, 1}, .outputs = 3, .classification = true};
constexpr char kMlp[] = "mlp { hidden: [5] activation: ACTIVATION_TANH }";
constexpr char kConv[] = "conv4 { filters: 3 }";
constexpr int64_t kUnits = 4;
constexpr uint32_t kSteps = 3;

std::string Learner(const std::string& form, int64_t block = 65536) {
  return absl::StrCat("lstm_meta_learner { form: ", form, " inner_steps: ", kSteps,
                      " hidden_size: ", kUnits, " coordinates_per_block: ", block, " }");
}

v1::LstmMetaLearner Spec(const std::string& form, int64_t block = 65536) {
  return ResolvedJob(absl::StrCat("model { ", kMlp, " } tasks { sinusoid { } } algorithm { ",
                                  Learner(form, block), " } meta_batch: 4 iterations: 1"))
      .algorithm()
      .lstm_meta_learner();
}

double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

// What is remembered of one coordinate.
struct PlainState {
  double theta = 0;
  double hidden[kUnits] = {};
  double cell[kUnits] = {};
  double forget = 0;
  double input = 0;
};

// Of a contiguous matrix or vector.
double At(const Tensor& tensor, int64_t row, int64_t column) {
  return tensor.const_data_ptr<double>()[row * tensor.size(1) + column];
}
double At(const Tensor& tensor, int64_t row) { return tensor.const_data_ptr<double>()[row]; }

std::pair<double, double> PlainLogAndSign(double x) {
  if (std::abs(x) >= std::exp(-10)) {
    return {std::log(std::abs(x)) / 10, x > 0 ? 1 : -1};
  }
  return {-1, std::exp(10) * x};
}

// The step of one coordinate: the paper's section 3.2 and formula (5), with an LSTM between the
// inputs and the gates.
PlainState PlainStep(bool gates, const Tensors& w, const PlainState& before, double gradient,
                     double loss) {
  const auto [g1, g2] = PlainLogAndSign(gradient);
  const auto [l1, l2] = PlainLogAndSign(loss);
  const double x[4] = {g1, g2, l1, l2};
  PlainState after;
  for (int64_t u = 0; u < kUnits; ++u) {
    double sums[4] = {};  // input, forget, output, candidate
    for (int64_t k = 0; k < 4; ++k) {
      const int64_t row = k * kUnits + u;
      sums[k] = At(w[2], row);
      for (int64_t j = 0; j < 4; ++j) {
        sums[k] += At(w[0], row, j) * x[j];
      }
      for (int64_t j = 0; j < kUnits; ++j) {
        sums[k] += At(w[1], row, j) * before.hidden[j];
      }
    }
    after.cell[u] = Sigmoid(sums[1]) * before.cell[u] + Sigmoid(sums[0]) * std::tanh(sums[3]);
    after.hidden[u] = Sigmoid(sums[2]) * std::tanh(after.cell[u]);
  }
  if (!gates) {
    double output = At(w[4], 0);
    for (int64_t u = 0; u < kUnits; ++u) {
      output += At(w[3], 0, u) * after.hidden[u];
    }
    after.theta = before.theta + 0.1 * output;
    return after;
  }
  const auto gate = [&](int64_t row, double bias, double last) {
    double sum = bias + At(w[3], row, kUnits) * before.theta + At(w[3], row, kUnits + 1) * last;
    for (int64_t u = 0; u < kUnits; ++u) {
      sum += At(w[3], row, u) * after.hidden[u];
    }
    return Sigmoid(sum);
  };
  after.forget = gate(0, At(w[4], 0), before.forget);
  after.input = gate(1, At(w[5], 0), before.input);
  after.theta = after.forget * before.theta - after.input * gradient;
  return after;
}

// The inner gradients and losses of a path, which count as constants.
struct Recorded {
  std::vector<Tensor> gradients;  // for each step [R]
  std::vector<Tensor> losses;     // for each step [1]
};

// A job's inner loop for one task, coordinate by coordinate.
class PlainLearner {
 public:
  PlainLearner(const std::string& model, bool gates, const TaskShape& shape) : gates_(gates) {
    const v1::JobSpec spec = ResolvedJob(absl::StrCat(
        "model { ", model, " } tasks { ",
        shape.classification
            ? "episodes { dataset: 'd' ways: 3 shots: 2 split { counts { train: 3 } } }"
            : "sinusoid { }",
        " } algorithm { maml { inner_steps: 1 } } meta_batch: 4 iterations: 1"));
    loss_ = spec.loss();
    model_ = *CreateModel(spec.model(), shape);
  }

  size_t model_size() const { return model_->parameters().size(); }

  // The query loss after `steps`. Records into `recorded` when it is empty, else takes its values.
  double QueryLoss(const Tensors& theta, const TaskBatch& task, size_t steps,
                   Recorded& recorded) const {
    const Tensors weights(theta.begin() + static_cast<std::ptrdiff_t>(model_size()), theta.end());
    const Tensor flat =
        Flatten(Tensors(theta.begin(), theta.begin() + static_cast<std::ptrdiff_t>(model_size())));
    std::vector<PlainState> states(static_cast<size_t>(flat.size(0)));
    for (size_t r = 0; r < states.size(); ++r) {
      states[r].theta = At(flat, static_cast<int64_t>(r));
    }
    for (size_t step = 0; step < steps; ++step) {
      if (recorded.gradients.size() == step) {
        Tensors parameters = Parameters(states);
        for (Tensor& parameter : parameters) {
          parameter.requires_grad_();
        }
        const Tensor loss = Loss(parameters, task.support);
        recorded.gradients.push_back(Flatten(torch::autograd::grad({loss}, parameters)));
        recorded.losses.push_back(loss.detach());
      }
      for (size_t r = 0; r < states.size(); ++r) {
        states[r] = PlainStep(gates_, weights, states[r],
                              At(recorded.gradients[step], static_cast<int64_t>(r)),
                              At(recorded.losses[step], 0));
      }
    }
    return Loss(Parameters(states), task.query).item<double>();
  }

 private:
  Tensor Loss(const Tensors& parameters, const Examples& examples) const {
    return TaskLosses(loss_, model_->Forward(parameters, examples.inputs, {}), examples);
  }
  Tensors Parameters(const std::vector<PlainState>& states) const {
    Tensors parameters;
    size_t next = 0;
    for (const ModelParameter& parameter : model_->parameters()) {
      std::vector<int64_t> sizes = {1};
      sizes.insert(sizes.end(), parameter.shape.begin(), parameter.shape.end());
      Tensor values = torch::empty(sizes, torch::kDouble);
      for (int64_t i = 0; i < values.numel(); ++i) {
        values.mutable_data_ptr<double>()[i] = states[next++].theta;
      }
      parameters.push_back(values);
    }
    return parameters;
  }

  const bool gates_;
  v1::LossSpec loss_;
  std::unique_ptr<Model> model_;
};

class LstmMetaLearnerTest : public ::testing::TestWithParam<std::tuple<const char*, const char*>> {
 protected:
  LstmMetaLearnerTest() { torch::manual_seed(71); }
  std::string form() const { return std::get<0>(GetParam()); }
  bool gates() const { return form() == "FORM_GATES"; }
  std::string model() const { return std::get<1>(GetParam()); }
  TaskShape shape() const { return model() == kConv ? kImages : kCurves; }
};
INSTANTIATE_TEST_SUITE_P(FormsAndModels, LstmMetaLearnerTest,
                         ::testing::Combine(::testing::Values("FORM_GATES", "FORM_ADDITIVE"),
                                            ::testing::Values(kMlp, kConv)));

TEST_P(LstmMetaLearnerTest, MeasuresWhatALoopOverCoordinatesGives) {
  const auto algorithm = MakeAlgorithm(model(), Learner(form(), /*block=*/50), shape());
  const PlainLearner plain(model(), gates(), shape());
  const TaskBatch tasks = RandomTasks(shape(), /*tasks=*/2, 6, 6, torch::kDouble);
  const Tensors theta = RandomTheta(*algorithm, torch::kDouble);
  std::vector<Tensor> losses;
  algorithm->Evaluate(
      theta, tasks, {.steps = kSteps},
      [&](int64_t, const Tensor& of_step, const Tensor&) { losses.push_back(of_step); });
  ASSERT_EQ(losses.size(), kSteps + 1);
  double meta_loss = 0;
  for (int64_t t = 0; t < 2; ++t) {
    Recorded recorded;
    for (size_t step = 0; step <= kSteps; ++step) {
      EXPECT_NEAR(At(losses[step], t), plain.QueryLoss(theta, TaskOf(tasks, t), step, recorded),
                  1e-10);
    }
    meta_loss += plain.QueryLoss(theta, TaskOf(tasks, t), kSteps, recorded);
  }
  TaskSums sums;
  UpdatesOf(*algorithm, theta, tasks, &sums);
  EXPECT_NEAR(sums.meta_loss, meta_loss, 1e-10);
}

TEST_P(LstmMetaLearnerTest, UpdateIsTheDerivativeWithInnerGradientsHeldConstant) {
  const auto algorithm = MakeAlgorithm(model(), Learner(form(), /*block=*/50), shape());
  const PlainLearner plain(model(), gates(), shape());
  const TaskBatch tasks = RandomTasks(shape(), /*tasks=*/2, 6, 6, torch::kDouble);
  const Tensors theta = RandomTheta(*algorithm, torch::kDouble);
  const Tensors updates = UpdatesOf(*algorithm, theta, tasks);
  Recorded recorded[2];
  const auto loss = [&](const Tensors& at) {
    return plain.QueryLoss(at, TaskOf(tasks, 0), kSteps, recorded[0]) +
           plain.QueryLoss(at, TaskOf(tasks, 1), kSteps, recorded[1]);
  };
  loss(theta);
  // Each tensor along a direction of its own, so that none hides behind the others.
  for (size_t i = 0; i < theta.size(); ++i) {
    Tensors direction = ZerosLike(theta);
    direction[i] = torch::randn_like(theta[i]);
    const double expected = (updates[i] * direction[i]).sum().item<double>();
    EXPECT_NEAR(Slope(loss, theta, direction), expected, 1e-7 * (1 + std::abs(expected)))
        << algorithm->meta_parameters()[i].spec.name();
  }
}

TEST_P(LstmMetaLearnerTest, UpdatesAreTheSameInBlocksOfAnySize) {
  const TaskBatch tasks = RandomTasks(shape(), /*tasks=*/3, 6, 6, torch::kDouble);
  const auto whole = MakeAlgorithm(model(), Learner(form()), shape());
  const Tensors theta = RandomTheta(*whole, torch::kDouble);
  const Tensor expected = Flatten(UpdatesOf(*whole, theta, tasks));
  for (const int64_t block : {7, 64, 100}) {
    const auto algorithm = MakeAlgorithm(model(), Learner(form(), block), shape());
    EXPECT_LT(RelativeError(Flatten(UpdatesOf(*algorithm, theta, tasks)), expected), 1e-12);
  }
}

TEST_P(LstmMetaLearnerTest, UpdatesOfSeveralTasksAreTheSumOfEachAlone) {
  const TaskBatch tasks = RandomTasks(shape(), /*tasks=*/3, 6, 6, torch::kDouble);
  ExpectSumsOfEachAlone(*MakeAlgorithm(model(), Learner(form()), shape()), tasks);
}

TEST(CoordinateLstm, BeginsAsGradientDescentInSmallSteps) {
  const CoordinateLstm lstm(Spec("FORM_GATES"));
  Tensors weights;
  for (const ModelParameter& parameter : lstm.parameters()) {
    weights.push_back(DrawInitial(parameter.initialiser, parameter.shape, /*seed=*/3,
                                  static_cast<uint32_t>(weights.size())));
  }
  const Tensor theta = torch::tensor({1.F, -2.F, 0.5F});
  const Tensor gradients = torch::tensor({0.F, 1.F, -4.F});
  const LstmState next =
      lstm.Step(weights, lstm.Begin(theta), {.gradients = gradients, .losses = torch::ones(3)});
  const Tensor forget = next.gates[0];
  const Tensor input = next.gates[1];
  // Sigmoids of U(4, 6) and U(-5, -4), give or take the weights of at most 0.01.
  EXPECT_GT(forget.min().item<double>(), 0.979);
  EXPECT_GT(input.min().item<double>(), 0.006);
  EXPECT_LT(input.max().item<double>(), 0.02);
  EXPECT_TRUE(torch::allclose(next.theta, forget * theta - input * gradients));
}

TEST(CoordinateLstm, TellsSizesAndSignsApart) {
  const Tensor values = torch::tensor({1.0, -std::exp(5.0), 0.0, 2e-5, -1e-5}, torch::kDouble);
  const Tensor expected =
      torch::tensor({{0.0, 0.5, -1.0, -1.0, -1.0},
                     {1.0, -1.0, 0.0, 2e-5 * std::exp(10.0), -1e-5 * std::exp(10.0)}},
                    torch::kDouble);
  EXPECT_TRUE(torch::allclose(LogAndSign(values), expected)) << LogAndSign(values);
}

// What steps over so many coordinates and their derivative hold at most, in bytes.
int64_t PeakBytes(int64_t coordinates, int64_t block, int steps) {
  const CoordinateLstm lstm(Spec("FORM_GATES", block));
  Tensors weights;
  for (const ModelParameter& parameter : lstm.parameters()) {
    weights.push_back(torch::randn(parameter.shape).requires_grad_());
  }
  const Tensor theta = torch::randn({coordinates}).requires_grad_();
  const LstmInputs inputs{.gradients = torch::randn({coordinates}),
                          .losses = torch::randn({coordinates})};
  MemoryMeter meter;
  LstmState state = lstm.Begin(theta);
  for (int step = 0; step < steps; ++step) {
    state = lstm.Step(weights, state, inputs);
  }
  torch::autograd::grad({state.theta.sum()}, weights);
  return meter.peak();
}

TEST(CoordinateLstm, MemoryGrowsByStatesAndInputsAlone) {
  constexpr int64_t kBlock = 1000;
  constexpr int kManySteps = 6;
  const int64_t small = PeakBytes(10 * kBlock, kBlock, kManySteps);
  const int64_t large = PeakBytes(40 * kBlock, kBlock, kManySteps);
  const int64_t per_coordinate = (large - small) / (30 * kBlock);
  // Kept of each step: theta, two states, two gates, four features; of two steps at most their
  // derivatives. A step's own intermediate values would be ten times the states.
  const int64_t kept = int64_t{sizeof(float)} * (kManySteps + 2) * (1 + 2 * kUnits + 2 + 4 + 1);
  EXPECT_LE(per_coordinate, kept);
  EXPECT_GT(per_coordinate, kept / 3);
  EXPECT_GT(PeakBytes(40 * kBlock, 40 * kBlock, kManySteps), large);
}

}  // namespace
}  // namespace innerloop::meta
