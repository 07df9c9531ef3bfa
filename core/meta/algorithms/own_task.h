// Adapting to a task of a user's own.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/meta/models/model.h"
#include "core/meta/tensors.h"

namespace innerloop::meta {

// One task whose queries have no targets.
struct OwnTask {
  Examples support;  // of one task: [1, n, ...]
  Tensor queries;    // [1, q, ...]; undefined without
  // Of the support set; 0 for regression.
  int64_t classes = 0;
};

// How a model's outputs become a task's: TorchScript of `compare(self, x)`, in which x is
// [n, outputs], and what it reads as "self.NAME".
struct ScriptHead {
  struct Buffer {
    std::string name;
    Tensor values;
  };
  std::string body;  // indented lines that end in a return
  std::vector<Buffer> buffers;
};

// What adaptation to a task comes to.
struct AdaptedTask {
  // Of the support set, after each of 0..steps.
  std::vector<double> support_losses;
  // Of the queries, [q, classes or target size]: what a softmax or sigmoid is to be taken of, or
  // targets; undefined without queries.
  Tensor outputs;
  // What queries go through, its parameters without a task dimension, and what follows it. The
  // model belongs to the algorithm.
  const Model* model = nullptr;
  Tensors parameters;
  // Of the parameters' names as meta-parameters.
  std::string prefix = "model.";
  ScriptHead head;
};

}  // namespace innerloop::meta
