// A model of the user's own, from a TorchScript file.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "core/meta/models/model.h"
#include "core/meta/models/script_module.h"

namespace innerloop::meta {

// Its parameters are the module's, its first values the file's. Runs over all tasks at once under
// vmap where a trial at its making shows that this gives what one task after the other gives; which
// of the two never depends on the data.
class ScriptedModel final : public Model {
 public:
  // `shape.outputs` of 0 takes any number of outputs: they are the features. INVALID_ARGUMENT: the
  // module cannot be a model (see ScriptModule::Load), raises, keeps state, is random, or returns
  // another shape than [n, outputs].
  static absl::StatusOr<std::unique_ptr<ScriptedModel>> Create(const v1::TorchScriptModel& spec,
                                                               const TaskShape& shape);

  Tensor Forward(absl::Span<const Tensor> parameters, const Tensor& inputs,
                 const ForwardOptions& options) const override;
  // The outputs: where the module's last layer begins cannot be told.
  Tensor Features(absl::Span<const Tensor> parameters, const Tensor& inputs,
                  const ForwardOptions& options) const override {
    return Forward(parameters, inputs, options);
  }

  bool TakesStatisticsRows() const override { return !mixes_examples_; }
  // `own` is the module itself, with other parameters.
  ModelScript Script(absl::Span<const Tensor> parameters) const override;

  // Forward in either way.
  Tensor AllTasksAtOnce(absl::Span<const Tensor> parameters, const Tensor& inputs) const;
  Tensor OneTaskAtATime(absl::Span<const Tensor> parameters, const Tensor& inputs) const;
  // Why tasks are computed one at a time; empty when they are not.
  const std::string& why_one_at_a_time() const { return why_one_at_a_time_; }

 private:
  explicit ScriptedModel(std::string path) : path_(std::move(path)) {}
  // A module for a call, given back after it.
  std::unique_ptr<ScriptModule> Take() const ABSL_LOCKS_EXCLUDED(mu_);
  void GiveBack(std::unique_ptr<ScriptModule> module) const ABSL_LOCKS_EXCLUDED(mu_);
  template <typename Compute>
  Tensor WithModule(const Compute& compute) const;

  const std::string path_;
  std::string why_one_at_a_time_;
  // A task's examples influence each other, as batch norm makes them do.
  bool mixes_examples_ = false;

  mutable absl::Mutex mu_;
  mutable std::vector<std::unique_ptr<ScriptModule>> idle_ ABSL_GUARDED_BY(mu_);
};

}  // namespace innerloop::meta
