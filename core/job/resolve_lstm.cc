// The LSTM meta-learner.
#include "core/job/checks.h"
#include "core/job/resolve_parts.h"
#include "core/support/status_macros.h"

namespace innerloop::job {

absl::Status ResolveLstmMetaLearner(v1::LstmMetaLearner& learner) {
  constexpr uint32_t kUnits = 20;
  constexpr uint32_t kMaxUnits = 1024;
  constexpr uint32_t kBlock = 65536;
  constexpr uint32_t kMaxBlock = (uint32_t{1} << 31) - 1;
  constexpr double kOutputScale = 0.1;
  const std::string field = "algorithm.lstm_meta_learner";
  v1::LstmMetaLearner::Form form = learner.form();
  INNERLOOP_RETURN_IF_ERROR(OrDefault(field + ".form", form, v1::LstmMetaLearner::FORM_GATES,
                                      v1::LstmMetaLearner::Form_IsValid));
  learner.set_form(form);
  INNERLOOP_RETURN_IF_ERROR(CheckInnerSteps(field + ".inner_steps", learner.inner_steps()));
  learner.set_hidden_size(learner.has_hidden_size() ? learner.hidden_size() : kUnits);
  INNERLOOP_RETURN_IF_ERROR(InRange(field + ".hidden_size", learner.hidden_size(), 1U, kMaxUnits));
  learner.set_coordinates_per_block(
      learner.has_coordinates_per_block() ? learner.coordinates_per_block() : kBlock);
  INNERLOOP_RETURN_IF_ERROR(
      InRange(field + ".coordinates_per_block", learner.coordinates_per_block(), 1U, kMaxBlock));
  if (form == v1::LstmMetaLearner::FORM_ADDITIVE) {
    learner.set_output_scale(learner.has_output_scale() ? learner.output_scale() : kOutputScale);
    return Positive(field + ".output_scale", learner.output_scale());
  }
  if (learner.has_output_scale()) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, ".output_scale is for FORM_ADDITIVE alone; leave it out"));
  }
  return absl::OkStatus();
}

}  // namespace innerloop::job
