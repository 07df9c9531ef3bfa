// Compiled with vectorisation and without contraction into fused multiply-adds: the loops below
// are memory-bound and give the same bits for every vector width.
#include "server/outer/outer_optimizer.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/outer/flush_denormals.h"
#include "server/outer/portable_math.h"

namespace innerloop::server {
namespace {

// A tensor's part of the step. `first` and `second` are its part of the slots, in the order of
// their names; null for slots that the optimiser does not have.
struct Piece {
  int64_t size = 0;
  float learning_rate = 0;
  const float* __restrict update = nullptr;
  float* __restrict parameters = nullptr;
  float* __restrict first = nullptr;
  float* __restrict second = nullptr;
};

// What the optimisers share: roles, multipliers, bounds, slots.
class FlatOptimizer : public OuterOptimizer {
 public:
  FlatOptimizer(const Layout& layout, const std::vector<std::string>& slot_names)
      : tensors_(layout.tensors()), flat_size_(layout.flat_size()) {
    for (const std::string& name : slot_names) {
      slots_.emplace(name, FlatBuffer(flat_size_));
    }
  }

  void Step(double learning_rate, absl::Span<const float> update,
            absl::Span<float> parameters) final {
    const FlushDenormals flush;
    ++steps_;
    Prepare(steps_);
    for (const TensorEntry& tensor : tensors_) {
      if (tensor.role == v1::TENSOR_ROLE_FIXED) {
        continue;
      }
      const float* const in = update.data() + tensor.offset;
      float* const out = parameters.data() + tensor.offset;
      if (tensor.role == v1::TENSOR_ROLE_AVERAGED) {
        std::copy_n(in, tensor.size, out);
        continue;
      }
      Piece piece{
          .size = tensor.size,
          .learning_rate = static_cast<float>(learning_rate * tensor.learning_rate_multiplier),
          .update = in,
          .parameters = out};
      if (auto slot = slots_.begin(); slot != slots_.end()) {
        piece.first = slot->second.data() + tensor.offset;
        if (++slot != slots_.end()) {
          piece.second = slot->second.data() + tensor.offset;
        }
      }
      StepPiece(piece);
      if (tensor.lower_bound.has_value() || tensor.upper_bound.has_value()) {
        Clamp(tensor, out);
      }
    }
  }

  uint64_t steps() const final { return steps_; }

  std::map<std::string, const FlatBuffer*> slots() const final {
    std::map<std::string, const FlatBuffer*> borrowed;
    for (const auto& [name, buffer] : slots_) {
      borrowed.emplace(name, &buffer);
    }
    return borrowed;
  }

  absl::Status Restore(uint64_t steps, std::map<std::string, FlatBuffer> slots) final {
    const auto names = [](const std::map<std::string, FlatBuffer>& of) {
      return of.empty() ? "none" : absl::StrJoin(of, ", ", [](std::string* out, const auto& slot) {
        absl::StrAppend(out, slot.first);
      });
    };
    if (names(slots) != names(slots_)) {
      return absl::InvalidArgumentError(absl::StrCat("the optimiser's state holds ", names(slots),
                                                     "; this optimiser needs ", names(slots_)));
    }
    for (const auto& [name, buffer] : slots) {
      if (buffer.size() != flat_size_) {
        return absl::InvalidArgumentError(
            absl::StrCat("the optimiser's ", name, " has ", buffer.size(),
                         " values; the parameters have ", flat_size_));
      }
    }
    steps_ = steps;
    slots_ = std::move(slots);
    return absl::OkStatus();
  }

 protected:
  // Once before the pieces of step number `step` (1, 2, ...).
  virtual void Prepare(uint64_t step) { (void)step; }
  virtual void StepPiece(const Piece& piece) = 0;

 private:
  static void Clamp(const TensorEntry& tensor, float* values) {
    const float low = static_cast<float>(tensor.lower_bound.value_or(-HUGE_VAL));
    const float high = static_cast<float>(tensor.upper_bound.value_or(HUGE_VAL));
    for (int64_t i = 0; i < tensor.size; ++i) {
      values[i] = std::min(std::max(values[i], low), high);
    }
  }

  std::vector<TensorEntry> tensors_;
  int64_t flat_size_;
  uint64_t steps_ = 0;
  std::map<std::string, FlatBuffer> slots_;
};

class Sgd final : public FlatOptimizer {
 public:
  Sgd(const v1::OuterSgd& spec, const Layout& layout)
      : FlatOptimizer(layout, spec.momentum() > 0 ? std::vector<std::string>{"momentum"}
                                                  : std::vector<std::string>{}),
        momentum_(static_cast<float>(spec.momentum())),
        nesterov_(spec.nesterov()) {}

 protected:
  void StepPiece(const Piece& piece) override {
    const Piece p = piece;
    if (p.first == nullptr) {
      for (int64_t i = 0; i < p.size; ++i) {
        p.parameters[i] -= p.learning_rate * p.update[i];
      }
    } else if (nesterov_) {
      for (int64_t i = 0; i < p.size; ++i) {
        const float m = momentum_ * p.first[i] + p.update[i];
        p.first[i] = m;
        p.parameters[i] -= p.learning_rate * (p.update[i] + momentum_ * m);
      }
    } else {
      for (int64_t i = 0; i < p.size; ++i) {
        const float m = momentum_ * p.first[i] + p.update[i];
        p.first[i] = m;
        p.parameters[i] -= p.learning_rate * m;
      }
    }
  }

 private:
  const float momentum_;
  const bool nesterov_;
};

// Adam, and with a weight decay AdamW.
class Adam final : public FlatOptimizer {
 public:
  Adam(double beta1, double beta2, double epsilon, double weight_decay, const Layout& layout)
      : FlatOptimizer(layout, {"first_moment", "second_moment"}),
        beta1_(beta1),
        beta2_(beta2),
        epsilon_(static_cast<float>(epsilon)),
        weight_decay_(weight_decay) {}

 protected:
  void Prepare(uint64_t step) override {
    correction1_ = 1 - IntegerPower(beta1_, step);
    root_correction2_ = std::sqrt(1 - IntegerPower(beta2_, step));
  }

  void StepPiece(const Piece& piece) override {
    const Piece p = piece;
    const auto b1 = static_cast<float>(beta1_);
    const auto b2 = static_cast<float>(beta2_);
    const auto c1 = static_cast<float>(1 - beta1_);
    const auto c2 = static_cast<float>(1 - beta2_);
    const auto rate = static_cast<float>(p.learning_rate / correction1_);
    const auto root = static_cast<float>(1 / root_correction2_);
    const auto keep = static_cast<float>(1 - p.learning_rate * weight_decay_);
    const float epsilon = epsilon_;
    for (int64_t i = 0; i < p.size; ++i) {
      const float g = p.update[i];
      const float m = b1 * p.first[i] + c1 * g;
      const float v = b2 * p.second[i] + c2 * (g * g);
      p.first[i] = m;
      p.second[i] = v;
      p.parameters[i] = keep * p.parameters[i] - rate * m / (std::sqrt(v) * root + epsilon);
    }
  }

 private:
  const double beta1_;
  const double beta2_;
  const float epsilon_;
  const double weight_decay_;
  double correction1_ = 1;
  double root_correction2_ = 1;
};

class RmsProp final : public FlatOptimizer {
 public:
  RmsProp(const v1::OuterRmsProp& spec, const Layout& layout)
      : FlatOptimizer(layout, {"mean_square"}),
        decay_(static_cast<float>(spec.decay())),
        rest_(static_cast<float>(1 - spec.decay())),
        epsilon_(static_cast<float>(spec.epsilon())) {}

 protected:
  void StepPiece(const Piece& piece) override {
    const Piece p = piece;
    const float decay = decay_;
    const float rest = rest_;
    const float epsilon = epsilon_;
    for (int64_t i = 0; i < p.size; ++i) {
      const float g = p.update[i];
      const float v = decay * p.first[i] + rest * (g * g);
      p.first[i] = v;
      p.parameters[i] -= p.learning_rate * g / (std::sqrt(v) + epsilon);
    }
  }

 private:
  const float decay_;
  const float rest_;
  const float epsilon_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<OuterOptimizer>> OuterOptimizer::Create(
    const v1::OuterOptimizer& resolved, const Layout& layout) {
  switch (resolved.kind_case()) {
    case v1::OuterOptimizer::kSgd:
      return std::make_unique<Sgd>(resolved.sgd(), layout);
    case v1::OuterOptimizer::kAdam: {
      const v1::OuterAdam& adam = resolved.adam();
      return std::make_unique<Adam>(adam.beta1(), adam.beta2(), adam.epsilon(), /*weight_decay=*/0,
                                    layout);
    }
    case v1::OuterOptimizer::kAdamw: {
      const v1::OuterAdamW& adam = resolved.adamw();
      return std::make_unique<Adam>(adam.beta1(), adam.beta2(), adam.epsilon(), adam.weight_decay(),
                                    layout);
    }
    case v1::OuterOptimizer::kRmsprop:
      return std::make_unique<RmsProp>(resolved.rmsprop(), layout);
    case v1::OuterOptimizer::KIND_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError(
      "outer_optimizer names no optimiser; known: sgd, adam, adamw, rmsprop");
}

}  // namespace innerloop::server
