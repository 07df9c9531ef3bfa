#include "core/meta/adaptation/own_task_reader.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/job/adaptation.h"
#include "core/support/status_macros.h"

namespace innerloop::meta {
namespace {

template <typename... Parts>
absl::Status Refuse(const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat(parts...));
}

template <typename Shape>
std::string ShapeText(const Shape& shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ","), "]");
}

// float32 [1, n, ...shape].
absl::StatusOr<Tensor> ReadExamples(const v1::Examples& examples, const TaskForm& form,
                                    absl::string_view field) {
  const std::vector<int64_t>& shape = form.shape.input;
  if (!std::equal(shape.begin(), shape.end(), examples.shape().begin(), examples.shape().end())) {
    return Refuse(field, " have the shape ", ShapeText(examples.shape()), "; the model takes ",
                  ShapeText(shape));
  }
  const bool bytes = examples.has_uint8();
  if (bytes && shape.size() != 3) {
    return Refuse(field, " are uint8, which is for images; the model takes float32 features");
  }
  int64_t width = 1;
  for (const int64_t length : shape) {
    width *= length;
  }
  const std::string& values = bytes ? examples.uint8() : examples.float32();
  const int64_t row_bytes = width * (bytes ? 1 : int64_t{sizeof(float)});
  const auto size = static_cast<int64_t>(values.size());
  if (size == 0 || size % row_bytes != 0) {
    return Refuse(field, " hold ", size, " bytes of ", bytes ? "uint8" : "float32",
                  "; they must be one or more examples of ", row_bytes, " bytes each");
  }
  const int64_t count = size / row_bytes;
  std::vector<int64_t> sizes = {1, count};
  sizes.insert(sizes.end(), shape.begin(), shape.end());
  Tensor inputs = torch::empty(sizes);
  float* to = inputs.mutable_data_ptr<float>();
  if (bytes) {
    std::transform(values.begin(), values.end(), to, [](char pixel) {
      return static_cast<float>(static_cast<uint8_t>(pixel)) / 255.0F;
    });
  } else {
    std::memcpy(to, values.data(), values.size());
    const auto* odd =
        std::find_if_not(to, to + count * width, [](float value) { return std::isfinite(value); });
    if (odd != to + count * width) {
      return Refuse(field, " hold ", *odd, " in example ", (odd - to) / width,
                    "; numbers must be finite");
    }
  }
  if (form.statistics != nullptr) {
    for (int64_t i = 0; i < count; ++i) {
      form.statistics->Apply(to + i * width);
    }
  }
  return inputs;
}

absl::StatusOr<int64_t> CountClasses(const v1::SupportSet& support, const TaskForm& form) {
  const int64_t outputs = form.shape.outputs;
  const int64_t largest = *std::max_element(support.labels().begin(), support.labels().end());
  if (form.shared_classes) {
    if (largest >= outputs) {
      return Refuse("support.labels hold class ", largest, "; the model knows classes 0 to ",
                    outputs - 1);
    }
    return outputs;
  }
  const std::vector<uint32_t> labels(support.labels().begin(), support.labels().end());
  const int64_t classes = largest + 1;
  if (!form.any_classes && classes > outputs) {
    return Refuse("the support set has ", classes, " classes; the model tells ", outputs,
                  " apart at most");
  }
  if (classes < 2) {
    return Refuse("the support set has 1 class; there is nothing to tell apart");
  }
  if (classes > static_cast<int64_t>(labels.size())) {
    return Refuse("support.labels hold class ", largest, " among ", labels.size(),
                  " examples; classes count from 0 and each has an example");
  }
  std::vector<bool> seen(static_cast<size_t>(classes), false);
  for (const uint32_t label : labels) {
    seen[label] = true;
  }
  const auto missing = std::find(seen.begin(), seen.end(), false);
  if (missing != seen.end()) {
    return Refuse("support.labels hold no example of class ", missing - seen.begin(),
                  ", but of class ", largest, "; classes count from 0 and each has an example");
  }
  return classes;
}

absl::Status ReadTargets(const v1::SupportSet& support, const TaskForm& form, OwnTask& task) {
  const int64_t count = task.support.count();
  if (form.shape.classification) {
    if (support.targets_size() > 0 || support.labels_size() != count) {
      return Refuse("the support set has ", count, " examples, ", support.labels_size(),
                    " labels and ", support.targets_size(),
                    " targets; the model wants one label for each example");
    }
    INNERLOOP_ASSIGN_OR_RETURN(task.classes, CountClasses(support, form));
    task.support.targets = torch::empty({1, count}, torch::kInt64);
    std::copy(support.labels().begin(), support.labels().end(),
              task.support.targets.mutable_data_ptr<int64_t>());
    return absl::OkStatus();
  }
  const int64_t size = form.shape.outputs;
  if (support.labels_size() > 0 || support.targets_size() != count * size) {
    return Refuse("the support set has ", count, " examples, ", support.targets_size(),
                  " targets and ", support.labels_size(), " labels; the model wants ", size,
                  " target(s) for each example");
  }
  task.support.targets = torch::empty({1, count, size});
  std::copy(support.targets().begin(), support.targets().end(),
            task.support.targets.mutable_data_ptr<float>());
  if (!at::isfinite(task.support.targets).all().item<bool>()) {
    return Refuse("support.targets hold an infinity or a NaN; numbers must be finite");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<OwnTask> ReadOwnTask(const v1::AdaptationTask& task, const TaskForm& form) {
  OwnTask read;
  INNERLOOP_ASSIGN_OR_RETURN(read.support.inputs,
                             ReadExamples(task.support().inputs(), form, "support.inputs"));
  INNERLOOP_RETURN_IF_ERROR(ReadTargets(task.support(), form, read));
  if (task.has_queries()) {
    INNERLOOP_ASSIGN_OR_RETURN(read.queries, ReadExamples(task.queries(), form, "queries"));
    const int64_t size = form.shape.classification ? read.classes : form.shape.outputs;
    const int64_t queries = read.queries.size(1);
    if (queries * size > kMaxAnswers) {
      return Refuse(queries, " queries of ", size, " numbers each in one call; at most ",
                    kMaxAnswers, " numbers: ask in parts");
    }
  }
  return read;
}

}  // namespace innerloop::meta
