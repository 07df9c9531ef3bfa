// How well a checkpoint of a job on Omniglot tells characters apart that it was not trained on, as
// `innerloop adapt` uses it: five test characters, one drawing of each as support set, the others
// as queries that do not influence each other. Prints the mean accuracy over draws, and how long
// adaptation and one prediction take.
//
//   own_characters CHECKPOINT DATASET [DRAWS [INNER_STEPS]]
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/checkpoint/checkpoint.h"
#include "core/dataset/dataset.h"
#include "core/meta/program.h"
#include "core/support/random.h"
#include "core/support/status_macros.h"

namespace innerloop::meta {
namespace {

constexpr uint64_t kWays = 5;

void Append(const Dataset& dataset, int64_t example, v1::Examples& examples) {
  const absl::Span<const uint8_t> pixels = dataset.ImageAt(example);
  examples.mutable_uint8()->append(reinterpret_cast<const char*>(pixels.data()), pixels.size());
}

v1::Examples None(const Dataset& dataset) {
  v1::Examples examples;
  for (const int64_t length : dataset.example_shape()) {
    examples.add_shape(length);
  }
  examples.mutable_uint8();
  return examples;
}

struct Draw {
  v1::AdaptationTask task;
  std::vector<uint32_t> query_labels;
};

Draw DrawTask(const Dataset& dataset, const std::vector<uint32_t>& characters, uint64_t index) {
  Draw draw;
  *draw.task.mutable_support()->mutable_inputs() = None(dataset);
  *draw.task.mutable_queries() = None(dataset);
  CounterRandom random(/*seed=*/0, RandomPurpose::kTask, /*a=*/7, index);
  uint32_t label = 0;
  for (const uint64_t place : random.Sample(characters.size(), kWays)) {
    const uint32_t character = characters[place];
    const int64_t begin = dataset.class_begin(character);
    const auto drawings = static_cast<uint64_t>(dataset.class_begin(character + 1) - begin);
    const auto chosen = static_cast<int64_t>(random.Below(drawings));
    for (int64_t i = 0; i < static_cast<int64_t>(drawings); ++i) {
      if (i == chosen) {
        Append(dataset, begin + i, *draw.task.mutable_support()->mutable_inputs());
        draw.task.mutable_support()->add_labels(label);
      } else {
        Append(dataset, begin + i, *draw.task.mutable_queries());
        draw.query_labels.push_back(label);
      }
    }
    ++label;
  }
  return draw;
}

double Accuracy(const v1::Predictions& predictions, const std::vector<uint32_t>& labels) {
  double right = 0;
  for (size_t q = 0; q < labels.size(); ++q) {
    const auto* row = predictions.values().data() + q * predictions.size();
    right += std::max_element(row, row + predictions.size()) - row == labels[q] ? 1 : 0;
  }
  return right / static_cast<double>(labels.size());
}

absl::Status Run(const std::string& checkpoint_file, const std::string& data_file, uint64_t draws,
                 int steps) {
  INNERLOOP_ASSIGN_OR_RETURN(const Checkpoint checkpoint, ReadCheckpoint(checkpoint_file));
  INNERLOOP_ASSIGN_OR_RETURN(const auto dataset, Dataset::Open(data_file));
  const v1::JobSpec& spec = checkpoint.metadata.spec();
  INNERLOOP_ASSIGN_OR_RETURN(const ClassLists lists,
                             ResolveSplit(*dataset, spec.tasks().episodes().split()));
  INNERLOOP_ASSIGN_OR_RETURN(const auto program,
                             Program::CreateWithoutData(spec, &checkpoint.metadata.data_set()));
  PrepareComputeThread();
  v1::AdaptationRule rule;
  rule.set_inner_steps(steps >= 0 ? static_cast<uint32_t>(steps)
                                  : spec.evaluation().final().inner_steps());
  rule.set_transduction(v1::TRANSDUCTION_SUPPORT_STATISTICS);
  double sum = 0;
  double squares = 0;
  std::vector<double> milliseconds;
  for (uint64_t i = 0; i < draws; ++i) {
    Draw draw = DrawTask(*dataset, lists.test, i);
    *draw.task.mutable_rule() = rule;
    INNERLOOP_ASSIGN_OR_RETURN(const AdaptationOutput output,
                               program->Adapt(checkpoint.parameters, draw.task));
    const double accuracy = Accuracy(output.result.predictions(), draw.query_labels);
    sum += accuracy;
    squares += accuracy * accuracy;
    draw.task.mutable_queries()->mutable_uint8()->resize(dataset->ImageAt(0).size());
    const absl::Time begin = absl::Now();
    INNERLOOP_RETURN_IF_ERROR(program->Adapt(checkpoint.parameters, draw.task).status());
    milliseconds.push_back(absl::ToDoubleMilliseconds(absl::Now() - begin));
  }
  std::sort(milliseconds.begin(), milliseconds.end());
  const auto count = static_cast<double>(draws);
  const double mean = sum / count;
  std::printf("%s: %.2f %% (+- %.2f) over %d draws, %u inner steps; %.2f ms at the median\n",
              spec.name().c_str(), 100 * mean,
              196 * std::sqrt(std::max(0.0, squares / count - mean * mean) / count),
              static_cast<int>(draws), rule.inner_steps(), milliseconds[milliseconds.size() / 2]);
  return absl::OkStatus();
}

}  // namespace
}  // namespace innerloop::meta

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "own_characters CHECKPOINT DATASET [DRAWS [INNER_STEPS]]\n");
    return 2;
  }
  const uint64_t draws = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 50;
  const int steps = argc > 4 ? std::atoi(argv[4]) : -1;
  const absl::Status status = innerloop::meta::Run(argv[1], argv[2], draws, steps);
  if (!status.ok()) {
    std::fprintf(stderr, "own_characters: %s\n", std::string(status.message()).c_str());
    return 1;
  }
  return 0;
}
