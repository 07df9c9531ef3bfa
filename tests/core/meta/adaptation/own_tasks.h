// Tasks of a user's own for tests, and programs to adapt to them.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/meta/program.h"
#include "core/meta/tasks/task_source.h"
#include "tests/core/meta/test_dataset.h"
#include "tests/core/meta/test_jobs.h"

namespace innerloop::meta {

// A model with a method, as fields of ModelSpec and Algorithm.
struct Method {
  std::string model;
  std::string algorithm;
  // Of what kind the tasks are; else episodes of images.
  bool regression = false;
};

inline std::string InnerLoop(const std::string& optimizer, const std::string& rest = "") {
  return absl::StrCat("inner_steps: 2 inner_optimizer { ", optimizer, " } ", rest);
}

// Every model with some method, and every method with some model.
inline std::vector<Method> AllMethods() {
  const std::string sgd = InnerLoop("sgd { learning_rate: 0.1 }");
  const std::string adam = InnerLoop("adam { learning_rate: 0.01 }");
  const std::string proximal = InnerLoop("momentum { learning_rate: 0.05 } proximal: 0.3");
  return {
      {"linear { }", absl::StrCat("maml { ", sgd, " order: ORDER_HVP }")},
      {"linear { }", absl::StrCat("maml { ", adam, " }"), /*regression=*/true},
      {"mlp { hidden: [16, 8] activation: ACTIVATION_TANH }",
       absl::StrCat("maml { ", proximal, " }"),
       /*regression=*/true},
      {"mlp { hidden: 16 activation: ACTIVATION_GELU }", absl::StrCat("reptile { ", adam, " }"),
       /*regression=*/true},
      {"mlp { hidden: [16, 8] batch_norm: true activation: ACTIVATION_LEAKY_RELU }",
       absl::StrCat("maml { ", sgd, " order: ORDER_FIRST }")},
      {"mlp { hidden: 8 batch_norm: true activation: ACTIVATION_GELU }",
       "lstm_meta_learner { inner_steps: 2 }"},
      {"mlp { hidden: 8 }", "pretraining { inner_optimizer { sgd { learning_rate: 0.1 } } }"},
      {"conv4 { filters: 4 }", absl::StrCat("maml { ", sgd, " }")},
      {"conv4 { filters: 4 downsampling: DOWNSAMPLING_MAX_POOL }",
       absl::StrCat("reptile { ", adam, " }")},
      {"conv4 { filters: 4 norm: NORM_LAYER }", absl::StrCat("maml { ", sgd, " }")},
      {"conv4 { filters: 4 norm: NORM_NONE head: HEAD_FLATTEN }",
       absl::StrCat("maml { ", sgd, " }")},
      {"conv4 { filters: 4 downsampling: DOWNSAMPLING_MAX_POOL }", "prototypical_networks { }"},
      {"conv4 { filters: 4 }",
       "prototypical_networks { distance: DISTANCE_COSINE embedding_size: 6 }"},
      {"mlp { hidden: 8 }", "prototypical_networks { scale: 0.5 }"},
      {"conv4 { filters: 4 }", "matching_networks { }"},
      {"conv4 { filters: 4 }", "matching_networks { separate_query_encoder: true }"},
      {"conv4 { filters: 4 }",
       "matching_networks { embedding_size: 5 full_context { read_steps: 3 } }"},
  };
}

inline v1::JobSpec JobOf(const Method& method, int ways = 3) {
  const std::string tasks =
      method.regression
          ? "random_map { inputs: 3 outputs: 2 shots: 6 queries: 4 }"
          : absl::StrCat("episodes { dataset: 'small' ways: ", ways,
                         " shots: 2 queries: 3 split { counts { train: 6 validation: 3 } } }");
  return ResolvedJob(absl::StrCat("model { ", method.model, " } tasks { ", tasks, " } algorithm { ",
                                  method.algorithm,
                                  " } meta_batch: 4 iterations: 1 seed: 2 "
                                  "evaluation { final { split: SPLIT_TRAIN } }"));
}

inline constexpr int64_t kImageSize = 16;

inline std::shared_ptr<const Dataset> DataOf(const v1::JobSpec& spec) {
  return spec.tasks().has_episodes() ? SmallDataset(kImageSize) : nullptr;
}

inline std::unique_ptr<Program> ProgramOf(const v1::JobSpec& spec) {
  auto program = Program::Create(spec, DataOf(spec));
  EXPECT_TRUE(program.ok()) << program.status();
  return program.ok() ? *std::move(program) : nullptr;
}

// Initial parameters with biases, shifts and scales moved, so that each counts.
inline FlatBuffer ParametersOf(const Program& program) {
  FlatBuffer parameters = *program.Initialise();
  torch::manual_seed(4);
  for (const TensorEntry& entry : program.layout().tensors()) {
    const Tensor noise = torch::randn({entry.size}) * 0.1;
    for (int64_t i = 0; i < entry.size; ++i) {
      parameters.data()[entry.offset + i] += noise[i].item<float>();
    }
  }
  return parameters;
}

// One task's inputs [1, n, ...] as they travel.
inline v1::Examples Floats(const Tensor& inputs) {
  v1::Examples examples;
  for (const int64_t length : inputs.sizes().slice(2)) {
    examples.add_shape(length);
  }
  const Tensor values = inputs.contiguous();
  examples.set_float32(values.const_data_ptr(), values.nbytes());
  return examples;
}

inline v1::SupportSet SupportOf(const Examples& support) {
  v1::SupportSet set;
  *set.mutable_inputs() = Floats(support.inputs);
  const Tensor targets = support.targets.contiguous();
  if (targets.is_floating_point()) {
    const float* value = targets.const_data_ptr<float>();
    set.mutable_targets()->Add(value, value + targets.numel());
  } else {
    const int64_t* label = targets.const_data_ptr<int64_t>();
    set.mutable_labels()->Add(label, label + targets.numel());
  }
  return set;
}

// Episode `index` of an evaluation by the protocol.
inline TaskBatch EpisodeOf(const v1::JobSpec& spec, const v1::EvaluationProtocol& protocol,
                           uint64_t index) {
  const auto source = CreateTaskSource(spec.tasks(), DataOf(spec));
  EXPECT_TRUE(source.ok()) << source.status();
  return (*source)->Sample({.seed = protocol.seed(), .split = protocol.split(), .iteration = 0},
                           index, index + 1,
                           {.ways = std::max(1U, protocol.ways()),
                            .shots = protocol.shots(),
                            .queries = protocol.queries()});
}

inline v1::AdaptationTask TaskOfEpisode(const TaskBatch& episode,
                                        const v1::EvaluationProtocol& protocol) {
  v1::AdaptationTask task;
  *task.mutable_support() = SupportOf(episode.support);
  *task.mutable_queries() = Floats(episode.query.inputs);
  task.mutable_rule()->set_inner_steps(protocol.inner_steps());
  task.mutable_rule()->set_transduction(protocol.transduction());
  task.mutable_rule()->set_line_search(protocol.line_search());
  return task;
}

// [n, size].
inline Tensor LogitsOf(const v1::Predictions& predictions) {
  const auto& values = predictions.logits().empty() ? predictions.values() : predictions.logits();
  return torch::tensor(std::vector<float>(values.begin(), values.end()))
      .view({-1, static_cast<int64_t>(predictions.size())});
}

// Relative to values above 1.
inline double LargestError(const Tensor& actual, const Tensor& expected) {
  return ((actual - expected).abs() / expected.abs().clamp_min(1)).max().item<double>();
}

}  // namespace innerloop::meta
