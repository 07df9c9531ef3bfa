// Models as functions of task-batched parameters.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/job/job_spec.h"
#include "core/meta/tensors.h"

namespace innerloop::meta {

// How a tensor's first values are drawn.
struct Initialiser {
  enum class Kind {
    kZeros,
    kOnes,
    kHeNormal,
    kGlorotUniform,
    kTruncatedNormal,
    kLecunNormal,
    kUniform,  // over [low, high]
    kGiven,    // `given` itself
  };
  Kind kind = Kind::kZeros;
  int64_t fan_in = 1;
  int64_t fan_out = 1;
  double low = 0;
  double high = 0;
  Tensor given = {};
};

struct ModelParameter {
  std::string name;            // e.g. "conv1.weight"
  std::vector<int64_t> shape;  // of one task
  Initialiser initialiser;
};

struct ForwardOptions {
  // Batch norm takes its statistics from the first so many examples of each task; -1: from all.
  // (Support and queries go in together, the support set first, when queries must not influence
  // each other.)
  int64_t statistics_rows = -1;
};

// A model at given parameters of one task as TorchScript: stages of lines that replace x, which has
// its channels last, indented by two spaces; a batch norm follows each but the last. They read the
// parameters as "self.NAME" with "_" for ".".
struct ModelScript {
  std::vector<std::string> stages;
  // The batch norms' names, one fewer than stages.
  std::vector<std::string> norms;
  // Methods that stages call.
  std::string helpers;
  // A module that stages call as "self.own", with the parameters in it.
  std::optional<torch::jit::Module> own;
};

// Immutable; Forward may be called from several threads at once.
class Model {
 public:
  virtual ~Model() = default;
  const std::vector<ModelParameter>& parameters() const { return parameters_; }
  // `parameters`: one tensor for each of parameters(), [T, ...shape]; `inputs` [T, n, ...]. Returns
  // [T, n, outputs]. Twice differentiable in both, in float32 and float64. Task t's outputs depend
  // on task t's parameters and inputs alone. A model of 0 outputs has no last affine layer: its
  // outputs are its features.
  virtual Tensor Forward(absl::Span<const Tensor> parameters, const Tensor& inputs,
                         const ForwardOptions& options) const = 0;
  // What the last affine layer takes, [T, n, features].
  virtual Tensor Features(absl::Span<const Tensor> parameters, const Tensor& inputs,
                          const ForwardOptions& options) const = 0;
  // Whether Forward takes statistics_rows.
  virtual bool TakesStatisticsRows() const { return true; }
  // `parameters` without a task dimension. The first stage takes inputs [n, ...]; the last leaves
  // outputs [n, outputs].
  virtual ModelScript Script(absl::Span<const Tensor> parameters) const = 0;

 protected:
  std::vector<ModelParameter> parameters_;
};

// INVALID_ARGUMENT names the field of the spec.
absl::StatusOr<std::unique_ptr<Model>> CreateModel(const v1::ModelSpec& spec,
                                                   const TaskShape& shape);

// Values of tensor `index` of a job, float32, on the CPU: a function of (seed, index, initialiser,
// shape).
Tensor DrawInitial(const Initialiser& initialiser, absl::Span<const int64_t> shape, uint64_t seed,
                   uint32_t index);

}  // namespace innerloop::meta
