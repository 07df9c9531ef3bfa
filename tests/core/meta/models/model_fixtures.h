// Models to test, and parameters for them.
#pragma once

#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "core/meta/models/model.h"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"

namespace innerloop::meta {

// From a ModelSpec's text.
inline absl::StatusOr<std::unique_ptr<Model>> TryModel(const std::string& text,
                                                       const TaskShape& shape) {
  v1::ModelSpec spec;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &spec)) << text;
  return CreateModel(spec, shape);
}

inline std::unique_ptr<Model> MakeModel(const std::string& text, const TaskShape& shape) {
  auto model = TryModel(text, shape);
  EXPECT_TRUE(model.ok()) << model.status();
  return std::move(model).value();
}

// Random values for every parameter, norms' scales around 1.
inline Tensors RandomParameters(const Model& model, int64_t tasks,
                                at::ScalarType dtype = at::kDouble) {
  Tensors parameters;
  for (const ModelParameter& parameter : model.parameters()) {
    std::vector<int64_t> shape = parameter.shape;
    shape.insert(shape.begin(), tasks);
    const bool scale = parameter.initialiser.kind == Initialiser::Kind::kOnes;
    parameters.push_back(at::randn(shape, dtype) * 0.4 + (scale ? 1 : 0));
  }
  return parameters;
}

inline Tensors OfTask(const Tensors& parameters, int64_t task) {
  Tensors one;
  for (const Tensor& parameter : parameters) {
    one.push_back(parameter[task]);
  }
  return one;
}

}  // namespace innerloop::meta
