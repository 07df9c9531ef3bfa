// Jobs, tasks and parameters for tests.
#pragma once

#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "core/job/job_spec.h"
#include "core/meta/algorithms/algorithm.h"
#include "core/meta/tensors.h"
#include "google/protobuf/text_format.h"

namespace innerloop::meta {

// A job file's text, resolved, computed by automatic differentiation.
inline v1::JobSpec ResolvedJob(const std::string& text) {
  v1::JobSpec spec;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &spec)) << text;
  spec.mutable_compute()->set_engine(v1::ComputeSpec::ENGINE_AUTOGRAD);
  absl::StatusOr<v1::JobSpec> resolved = ResolveJobSpec(spec, nullptr);
  EXPECT_TRUE(resolved.ok()) << resolved.status() << text;
  return resolved.ok() ? *std::move(resolved) : spec;
}

// A job of this model, algorithm and objective (fields of ModelSpec, Algorithm and MetaObjective)
// on tasks of any kind.
inline std::unique_ptr<Algorithm> MakeAlgorithm(const std::string& model,
                                                const std::string& algorithm,
                                                const TaskShape& shape,
                                                const std::string& objective = "") {
  const std::string tasks = shape.classification
                                ? absl::StrCat("episodes { dataset: 'd' ways: ", shape.outputs,
                                               " shots: 100 split { counts { train: 50 } } }")
                                : "sinusoid { }";
  const v1::JobSpec spec = ResolvedJob(absl::StrCat("model { ", model, " } tasks { ", tasks,
                                                    " } algorithm { ", algorithm, " } objective { ",
                                                    objective, " } meta_batch: 4 iterations: 1"));
  absl::StatusOr<std::unique_ptr<Algorithm>> made = CreateAlgorithm(spec, shape);
  EXPECT_TRUE(made.ok()) << made.status();
  return made.ok() ? *std::move(made) : nullptr;
}

inline Examples RandomExamples(const TaskShape& shape, int64_t tasks, int64_t count,
                               torch::ScalarType type) {
  std::vector<int64_t> sizes = {tasks, count};
  sizes.insert(sizes.end(), shape.input.begin(), shape.input.end());
  // Labels in turn, so that each class has examples.
  return {.inputs = torch::randn(sizes, type),
          .targets = shape.classification
                         ? torch::arange(count).remainder(shape.outputs).repeat({tasks, 1})
                         : torch::randn({tasks, count, shape.outputs}, type)};
}

inline TaskBatch RandomTasks(const TaskShape& shape, int64_t tasks, int64_t support,
                             int64_t queries, torch::ScalarType type) {
  return {.key = {.seed = 5, .iteration = 11},
          .first_task = 0,
          .support = RandomExamples(shape, tasks, support, type),
          .query = RandomExamples(shape, tasks, queries, type)};
}

// Task `t` alone.
inline TaskBatch TaskOf(const TaskBatch& tasks, int64_t t) {
  const auto row = [&](const Examples& examples) {
    return Examples{.inputs = examples.inputs.narrow(0, t, 1),
                    .targets = examples.targets.narrow(0, t, 1)};
  };
  return {.key = tasks.key,
          .first_task = tasks.first_task + static_cast<uint64_t>(t),
          .support = row(tasks.support),
          .query = row(tasks.query)};
}

inline Tensors RandomTheta(const Algorithm& algorithm, torch::ScalarType type) {
  Tensors theta;
  for (const MetaParameter& parameter : algorithm.meta_parameters()) {
    const std::vector<int64_t> shape(parameter.spec.shape().begin(), parameter.spec.shape().end());
    theta.push_back(torch::randn(shape, type) * 0.4);
  }
  return theta;
}

inline Tensors ZerosLike(const Tensors& tensors) {
  Tensors zeros;
  for (const Tensor& tensor : tensors) {
    zeros.push_back(torch::zeros_like(tensor));
  }
  return zeros;
}

inline Tensor Flatten(const Tensors& tensors) {
  Tensors flat;
  for (const Tensor& tensor : tensors) {
    flat.push_back(tensor.flatten());
  }
  return torch::cat(flat);
}

// The largest difference, relative to the largest value of `expected`.
inline double RelativeError(const Tensor& actual, const Tensor& expected) {
  return ((actual - expected).abs().max() / expected.abs().max()).item<double>();
}

// The sum of the tasks' updates.
inline Tensors UpdatesOf(const Algorithm& algorithm, const Tensors& theta, const TaskBatch& tasks,
                         TaskSums* sums = nullptr, bool detailed = false) {
  Tensors updates = ZerosLike(theta);
  TaskSums ignored;
  algorithm.AddUpdates(theta, tasks, detailed, updates, sums != nullptr ? *sums : ignored);
  return updates;
}

}  // namespace innerloop::meta
