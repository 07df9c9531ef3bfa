// Random networks and tasks for tests of the fused kernels.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <utility>
#include <vector>

#include "core/meta/fused/maml_engine.h"
#include "tests/core/meta/fused/plain_mlp.h"

namespace innerloop::meta::fused {

using Floats = std::vector<float>;

// A random network and random tasks, as the kernels take them and as the plain loops do.
class Problem {
 public:
  struct Sizes {
    size_t tasks = 3;
    size_t support = 10;
    size_t query = 7;
  };
  Problem(std::vector<size_t> widths, Activation activation, Loss loss, const Sizes& sizes,
          bool weighted = false)
      : shape(MakeMlpShape(widths, activation, loss)),
        plain(widths, activation, loss),
        sizes_(sizes) {
    for (size_t l = 0; l + 1 < widths.size(); ++l) {
      theta.push_back(Normal(widths[l] * widths[l + 1], std::sqrt(2.0f / widths[l])));
      theta.push_back(Normal(widths[l + 1], 0.3f));
    }
    support_.Fill(*this, sizes.support, weighted);
    query_.Fill(*this, sizes.query, weighted);
  }

  TaskArrays tasks() const { return {sizes_.tasks, support_.Arrays(*this), query_.Arrays(*this)}; }
  PlainExamples support(size_t task) const { return support_.Plain(*this, task); }
  PlainExamples query(size_t task) const { return query_.Plain(*this, task); }
  size_t task_count() const { return sizes_.tasks; }

  Values plain_theta() const { return Joined(theta); }
  static Values Joined(const std::vector<Floats>& tensors) {
    Values joined;
    for (const Floats& tensor : tensors) {
      joined.insert(joined.end(), tensor.begin(), tensor.end());
    }
    return joined;
  }

  struct Result {
    std::vector<Floats> updates;
    MamlMeasures measures;
  };
  Result Run(const MamlRule& rule, bool detailed = false) const {
    Result result;
    ConstParameterArrays from;
    ParameterArrays to;
    for (const Floats& tensor : theta) {
      from.push_back(tensor.data());
      result.updates.emplace_back(tensor.size(), 0.0f);
    }
    for (Floats& tensor : result.updates) {
      to.push_back(tensor.data());
    }
    result.measures = AddMamlUpdates(shape, rule, from, tasks(), detailed, to);
    return result;
  }

  // The sum of the tasks' meta-gradients.
  Values PlainUpdate(const MamlRule& rule) const {
    Values sum(plain.size(), 0);
    for (size_t t = 0; t < sizes_.tasks; ++t) {
      sum = PlainMlp::Sum(
          sum, 1,
          plain.MetaGradient(plain_theta(), support(t), query(t), rule.inner_steps,
                             rule.learning_rate, rule.order == MamlRule::Order::kFirst));
    }
    return sum;
  }

  const MlpShape shape;
  const PlainMlp plain;
  std::vector<Floats> theta;

 private:
  struct Set {
    void Fill(Problem& problem, size_t n, bool weighted) {
      count = n;
      const size_t rows = problem.sizes_.tasks * n;
      inputs = problem.Normal(rows * problem.inputs(), 1);
      values = problem.Normal(rows * problem.outputs(), 1);
      for (size_t i = 0; i < rows; ++i) {
        classes.push_back(static_cast<int64_t>(problem.random_() % problem.outputs()));
        // The last example of each task is padding.
        weights.push_back(i % n == n - 1 ? 0.0f : 0.5f + static_cast<float>(i % 3));
      }
      if (!weighted) {
        weights.clear();
      }
    }
    ExampleArrays Arrays(const Problem& problem) const {
      const bool regression = problem.shape.loss == Loss::kMse;
      return {count, inputs.data(), regression ? values.data() : nullptr,
              regression ? nullptr : classes.data(), weights.empty() ? nullptr : weights.data()};
    }
    PlainExamples Plain(const Problem& problem, size_t task) const {
      PlainExamples examples;
      examples.count = count;
      const size_t in = count * problem.inputs();
      const size_t out = count * problem.outputs();
      examples.inputs.assign(inputs.begin() + task * in, inputs.begin() + (task + 1) * in);
      if (problem.shape.loss == Loss::kMse) {
        examples.targets.assign(values.begin() + task * out, values.begin() + (task + 1) * out);
      } else {
        examples.targets.assign(out, 0);
        for (size_t i = 0; i < count; ++i) {
          examples.targets[i * problem.outputs() + classes[task * count + i]] = 1;
        }
      }
      double total = 0;
      for (size_t i = 0; i < count; ++i) {
        examples.shares.push_back(weights.empty() ? 1 : weights[task * count + i]);
        total += examples.shares.back();
      }
      for (double& share : examples.shares) {
        share /= total;
      }
      return examples;
    }
    size_t count = 0;
    Floats inputs;
    Floats values;
    std::vector<int64_t> classes;
    Floats weights;
  };

  Floats Normal(size_t size, float deviation) {
    std::normal_distribution<float> normal(0, deviation);
    Floats values(size);
    for (float& value : values) {
      value = normal(random_);
    }
    return values;
  }
  size_t inputs() const { return shape.layers.front().inputs; }
  size_t outputs() const { return shape.last().outputs; }

  std::mt19937 random_{7};
  Sizes sizes_;
  Set support_;
  Set query_;
};

}  // namespace innerloop::meta::fused
