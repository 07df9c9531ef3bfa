#include "client/render/protocol.h"

#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "client/render/numbers.h"
#include "core/job/job_spec.h"

namespace innerloop::client {
namespace {

std::string LowerSuffix(const std::string& enumerator, absl::string_view prefix) {
  return absl::AsciiStrToLower(absl::StripPrefix(enumerator, prefix));
}

std::string SplitText(const v1::EvaluationProtocol& protocol) {
  return LowerSuffix(v1::Split_Name(protocol.split()), "SPLIT_");
}

bool IsClassification(const v1::Evaluation& evaluation) {
  return evaluation.protocol().ways() > 1 ||
         (evaluation.steps_size() > 0 && evaluation.steps(0).has_accuracy());
}

std::string TransductionText(v1::Transduction transduction) {
  switch (transduction) {
    case v1::TRANSDUCTION_SUPPORT_STATISTICS:
      return "not transductive (support statistics)";
    case v1::TRANSDUCTION_SINGLE_QUERY:
      return "not transductive (each query alone)";
    default:
      return "transductive";
  }
}

}  // namespace

std::string TransductionName(v1::Transduction transduction) {
  switch (transduction) {
    case v1::TRANSDUCTION_SUPPORT_STATISTICS:
      return "no";
    case v1::TRANSDUCTION_SINGLE_QUERY:
      return "single";
    default:
      return "yes";
  }
}

std::string ProtocolText(const v1::Evaluation& evaluation, const v1::JobSpec& spec) {
  const v1::EvaluationProtocol& protocol = evaluation.protocol();
  std::vector<std::string> parts = {
      SplitText(protocol),
      absl::StrCat(protocol.ways() > 1 ? absl::StrCat(protocol.ways(), "-way ") : "",
                   protocol.shots(), "-shot"),
      CountOf(protocol.queries(), "query", "queries"),
      CountOf(protocol.episodes(), "episode", "episodes"),
      CountOf(protocol.inner_steps(), "inner step", "inner steps")};
  if (IsClassification(evaluation) && MayMixExamples(spec.model())) {
    parts.push_back(TransductionText(protocol.transduction()));
  }
  switch (spec.tasks().episodes().rotations()) {
    case v1::EpisodeTasks::ROTATIONS_AUGMENT:
      parts.emplace_back("each class rotated");
      break;
    case v1::EpisodeTasks::ROTATIONS_CLASSES:
      parts.emplace_back(protocol.split() == v1::SPLIT_TRAIN ? "rotations as classes"
                                                             : "not rotated");
      break;
    default:
      break;
  }
  if (protocol.line_search() > 0) {
    parts.emplace_back("backtracking line search");
  }
  return absl::StrJoin(parts, ", ");
}

void AddProtocol(Json& json, const v1::Evaluation& evaluation, const v1::JobSpec& spec) {
  const v1::EvaluationProtocol& protocol = evaluation.protocol();
  json["split"] = SplitText(protocol);
  if (protocol.ways() > 1) {
    json["ways"] = protocol.ways();
  }
  json["shots"] = protocol.shots();
  json["queries"] = protocol.queries();
  json["episodes"] = protocol.episodes();
  json["inner_steps"] = protocol.inner_steps();
  if (IsClassification(evaluation)) {
    json["transductive"] = TransductionName(protocol.transduction());
  }
  if (spec.tasks().has_episodes()) {
    json["rotations"] = LowerSuffix(
        v1::EpisodeTasks::Rotations_Name(spec.tasks().episodes().rotations()), "ROTATIONS_");
  }
  json["line_search"] = protocol.line_search();
  json["seed"] = protocol.seed();
  json["protocol"] = ProtocolText(evaluation, spec);
}

}  // namespace innerloop::client
