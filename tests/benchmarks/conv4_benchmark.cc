// The second-order meta-gradient of conv4 (64 filters, stride 2, batch norm) on Omniglot's shape:
// 32 tasks, 5 ways, 1 shot, 1 query, one inner SGD step of 0.4, on one thread. "ChunksOf" is how
// workers compute it; "OneTaskAtATime" is the usual loop over tasks with LibTorch's own layers.
#include <vector>

#include "benchmark/benchmark.h"
#include "core/meta/algorithms/algorithm.h"
#include "core/meta/models/model.h"
#include "core/meta/program.h"
#include "core/meta/tensors.h"

namespace innerloop::meta {
namespace {

constexpr int64_t kTasks = 32;
constexpr int64_t kWays = 5;
constexpr int64_t kFilters = 64;
constexpr int64_t kSize = 28;
constexpr double kInnerRate = 0.4;

Examples RandomExamples(int64_t tasks) {
  return {at::rand({tasks, kWays, kSize, kSize, 1}), at::arange(kWays).repeat({tasks, 1}),
          Tensor()};
}

// The job that workers would get.
v1::JobSpec Job() {
  v1::JobSpec job;
  auto& conv4 = *job.mutable_model()->mutable_conv4();
  conv4.set_filters(kFilters);
  conv4.set_downsampling(v1::Conv4Model::DOWNSAMPLING_STRIDE);
  conv4.set_norm(v1::Conv4Model::NORM_BATCH);
  conv4.set_head(v1::Conv4Model::HEAD_SPATIAL_MEAN);
  conv4.set_initialisation(v1::INITIALISATION_GLOROT_UNIFORM);
  job.mutable_loss()->set_kind(v1::LossSpec::KIND_CROSS_ENTROPY);
  auto& maml = *job.mutable_algorithm()->mutable_maml();
  maml.set_order(v1::Maml::ORDER_SECOND);
  maml.set_inner_steps(1);
  maml.mutable_inner_optimizer()->mutable_sgd()->set_learning_rate(kInnerRate);
  job.mutable_compute()->set_engine(v1::ComputeSpec::ENGINE_AUTOGRAD);
  return job;
}

void ChunksOf(benchmark::State& state) {
  PrepareComputeThread();
  torch::manual_seed(1);
  const int64_t chunk = state.range(0);
  const auto algorithm = CreateAlgorithm(Job(), {{kSize, kSize, 1}, kWays, true}).value();
  Tensors theta;
  for (const MetaParameter& parameter : algorithm->meta_parameters()) {
    const std::vector<int64_t> shape(parameter.spec.shape().begin(), parameter.spec.shape().end());
    theta.push_back(
        DrawInitial(parameter.initialiser, shape, /*seed=*/1, static_cast<uint32_t>(theta.size())));
  }
  std::vector<TaskBatch> chunks;
  for (int64_t first = 0; first < kTasks; first += chunk) {
    chunks.push_back({.support = RandomExamples(chunk), .query = RandomExamples(chunk)});
  }
  for (auto _ : state) {
    Tensors updates;
    for (const Tensor& tensor : theta) {
      updates.push_back(at::zeros_like(tensor));
    }
    TaskSums sums;
    for (const TaskBatch& tasks : chunks) {
      algorithm->AddUpdates(theta, tasks, /*detailed=*/false, updates, sums);
    }
    benchmark::DoNotOptimize(updates);
  }
}
BENCHMARK(ChunksOf)->Arg(8)->Arg(4)->Arg(16)->Unit(benchmark::kMillisecond);

// theta' = theta - rate * gradient with its graph, then the gradient of loss(theta', query).
template <class Loss>
Tensors MetaGradient(const Tensors& theta, Loss loss, const Examples& support,
                     const Examples& query) {
  const Tensors gradients = torch::autograd::grad({loss(theta, support)}, theta, {},
                                                  /*retain_graph=*/true, /*create_graph=*/true);
  Tensors adapted;
  for (size_t i = 0; i < theta.size(); ++i) {
    adapted.push_back(at::sub(theta[i], gradients[i], kInnerRate));
  }
  return torch::autograd::grad({loss(adapted, query)}, theta);
}

void OneTaskAtATime(benchmark::State& state) {
  PrepareComputeThread();
  torch::manual_seed(1);
  Tensors theta;
  for (int block = 0; block < 4; ++block) {
    theta.push_back(at::randn({kFilters, block == 0 ? 1 : kFilters, 3, 3}) * 0.05);
    theta.push_back(at::ones({kFilters}));
    theta.push_back(at::zeros({kFilters}));
  }
  theta.push_back(at::randn({kWays, kFilters}) * 0.1);
  theta.push_back(at::zeros({kWays}));
  for (Tensor& tensor : theta) {
    tensor.requires_grad_();
  }
  const Examples support = RandomExamples(kTasks);
  const Examples query = RandomExamples(kTasks);
  const auto loss = [](const Tensors& parameters, const Examples& examples) {
    Tensor x = examples.inputs.permute({0, 3, 1, 2});
    for (size_t block = 0; block < 4; ++block) {
      x = at::conv2d(x, parameters[3 * block], {}, /*stride=*/2, /*padding=*/1);
      x = at::relu(at::batch_norm(x, parameters[3 * block + 1], parameters[3 * block + 2], {}, {},
                                  /*training=*/true, 0.1, 1e-5, /*cudnn_enabled=*/false));
    }
    return at::cross_entropy_loss(at::linear(x.mean({2, 3}), parameters[12], parameters[13]),
                                  examples.targets);
  };
  for (auto _ : state) {
    Tensors sums;
    for (int64_t task = 0; task < kTasks; ++task) {
      const Tensors gradients =
          MetaGradient(theta, loss, {support.inputs[task], support.targets[task], Tensor()},
                       {query.inputs[task], query.targets[task], Tensor()});
      for (size_t i = 0; i < gradients.size(); ++i) {
        if (task == 0) {
          sums.push_back(gradients[i]);
        } else {
          sums[i].add_(gradients[i]);
        }
      }
    }
    benchmark::DoNotOptimize(sums);
  }
}
BENCHMARK(OneTaskAtATime)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace innerloop::meta

BENCHMARK_MAIN();
