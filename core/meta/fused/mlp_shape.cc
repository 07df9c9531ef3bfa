#include "core/meta/fused/mlp_shape.h"

#include <cstring>

namespace innerloop::meta::fused {
namespace {

// Up to here a dot product for each output beats padding the outputs to a vector.
constexpr size_t kMostOutputsByOutput = 8;

}  // namespace

MlpShape MakeMlpShape(const std::vector<size_t>& widths, Activation activation, Loss loss) {
  MlpShape shape;
  shape.activation = activation;
  shape.loss = loss;
  for (size_t l = 0; l + 1 < widths.size(); ++l) {
    LayerShape layer;
    layer.inputs = widths[l];
    layer.outputs = widths[l + 1];
    layer.padded_inputs = Padded(layer.inputs);
    layer.padded_outputs = Padded(layer.outputs);
    layer.by_output = layer.outputs <= kMostOutputsByOutput && layer.outputs < layer.inputs;
    layer.weights = shape.parameters;
    layer.biases = layer.weights + layer.weight_rows() * layer.weight_columns();
    shape.parameters = layer.biases + layer.padded_outputs;
    layer.transposed = l > 0 && !layer.by_output;
    if (layer.transposed) {
      layer.transpose = shape.transposes;
      shape.transposes += layer.outputs * layer.padded_inputs;
    }
    layer.columns_before = shape.columns;
    shape.columns += layer.padded_outputs;
    shape.layers.push_back(layer);
  }
  return shape;
}

void PackLayer(const LayerShape& layer, const float* weights, const float* biases, float* packed) {
  float* to = packed + layer.weights;
  for (size_t i = 0; i < layer.inputs; ++i) {
    if (layer.by_output) {
      for (size_t o = 0; o < layer.outputs; ++o) {
        to[o * layer.padded_inputs + i] = weights[i * layer.outputs + o];
      }
    } else {
      std::memcpy(to + i * layer.padded_outputs, weights + i * layer.outputs,
                  layer.outputs * sizeof(float));
    }
  }
  std::memcpy(packed + layer.biases, biases, layer.outputs * sizeof(float));
}

void AddUnpackedLayer(const LayerShape& layer, const float* packed, float* weights, float* biases) {
  const float* from = packed + layer.weights;
  const size_t input_stride = layer.by_output ? 1 : layer.padded_outputs;
  const size_t output_stride = layer.by_output ? layer.padded_inputs : 1;
  for (size_t i = 0; i < layer.inputs; ++i) {
    for (size_t o = 0; o < layer.outputs; ++o) {
      weights[i * layer.outputs + o] += from[i * input_stride + o * output_stride];
    }
  }
  for (size_t o = 0; o < layer.outputs; ++o) {
    biases[o] += packed[layer.biases + o];
  }
}

}  // namespace innerloop::meta::fused
