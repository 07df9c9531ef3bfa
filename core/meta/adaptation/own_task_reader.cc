#include "core/meta/adaptation/own_task_reader.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "core/job/adaptation.h"
#include "core/support/status_macros.h"

namespace innerloop::meta {
namespace {

// float32 [1, n, ...shape] of examples that were checked.
Tensor ReadExamples(const v1::Examples& examples, const FeatureStatistics* statistics) {
  const int64_t count = CountOf(examples);
  std::vector<int64_t> sizes = {1, count};
  sizes.insert(sizes.end(), examples.shape().begin(), examples.shape().end());
  Tensor inputs = torch::empty(sizes);
  float* const to = inputs.mutable_data_ptr<float>();
  if (examples.has_uint8()) {
    std::transform(examples.uint8().begin(), examples.uint8().end(), to, [](char pixel) {
      return static_cast<float>(static_cast<uint8_t>(pixel)) / 255.0F;
    });
  } else {
    std::memcpy(to, examples.float32().data(), examples.float32().size());
  }
  if (statistics != nullptr) {
    const int64_t width = inputs.numel() / count;
    for (int64_t i = 0; i < count; ++i) {
      statistics->Apply(to + i * width);
    }
  }
  return inputs;
}

}  // namespace

absl::StatusOr<OwnTask> ReadOwnTask(const v1::AdaptationTask& task,
                                    const v1::ModelDescription& model,
                                    const FeatureStatistics* statistics) {
  const v1::SupportSet& support = task.support();
  INNERLOOP_RETURN_IF_ERROR(CheckSupport(model, support));
  OwnTask read;
  read.support.inputs = ReadExamples(support.inputs(), statistics);
  const int64_t count = read.support.count();
  if (model.target_size() > 0) {
    read.support.targets = torch::empty({1, count, model.target_size()});
    std::copy(support.targets().begin(), support.targets().end(),
              read.support.targets.mutable_data_ptr<float>());
  } else {
    read.classes = AnswerSize(model, support);
    read.support.targets = torch::empty({1, count}, torch::kInt64);
    std::copy(support.labels().begin(), support.labels().end(),
              read.support.targets.mutable_data_ptr<int64_t>());
  }
  if (task.has_queries()) {
    INNERLOOP_RETURN_IF_ERROR(CheckQueries(model, support, task.queries()));
    read.queries = ReadExamples(task.queries(), statistics);
  }
  return read;
}

}  // namespace innerloop::meta
