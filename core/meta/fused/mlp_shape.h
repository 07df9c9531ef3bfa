// How a multilayer perceptron lies in memory for the fused kernels. No LibTorch, no Highway.
#pragma once

#include <cstddef>
#include <vector>

namespace innerloop::meta::fused {

enum class Activation { kRelu, kLeakyRelu, kTanh };
enum class Loss { kMse, kCrossEntropy };

// Leaky ReLU's slope below 0.
inline constexpr float kLeakySlope = 0.01f;

// Rows are padded with zeros to a multiple of this many floats: the longest vector of any
// supported CPU.
inline constexpr size_t kRowMultiple = 16;
constexpr size_t Padded(size_t n) { return (n + kRowMultiple - 1) / kRowMultiple * kRowMultiple; }

// An affine layer. Its weights lie either by input, [inputs, padded_outputs], or by output,
// [outputs, padded_inputs]; the latter where there are so few outputs that rows of outputs would
// be mostly padding.
struct LayerShape {
  size_t inputs = 0;
  size_t outputs = 0;
  size_t padded_inputs = 0;
  size_t padded_outputs = 0;
  bool by_output = false;
  // Where a packed parameter buffer holds the layer's weights and its biases [padded_outputs].
  size_t weights = 0;
  size_t biases = 0;
  // Where the weights [outputs, padded_inputs] lie in a buffer of transposed weights. Kept for
  // layers by input, except the first, whose inputs need no gradient.
  bool transposed = false;
  size_t transpose = 0;
  // Sum of padded_outputs of the layers before.
  size_t columns_before = 0;

  size_t weight_rows() const { return by_output ? outputs : inputs; }
  size_t weight_columns() const { return by_output ? padded_inputs : padded_outputs; }
};

struct MlpShape {
  std::vector<LayerShape> layers;
  Activation activation = Activation::kRelu;
  Loss loss = Loss::kMse;
  // Floats in a packed parameter buffer, and in a buffer of transposed weights.
  size_t parameters = 0;
  size_t transposes = 0;
  // Sum of padded_outputs over the layers.
  size_t columns = 0;

  const LayerShape& last() const { return layers.back(); }
};

// `widths`: of the inputs, the hidden layers and the outputs; at least two.
MlpShape MakeMlpShape(const std::vector<size_t>& widths, Activation activation, Loss loss);

// Between a plain tensor pair (weights [inputs, outputs], biases [outputs]; row-major) and a packed
// buffer. Packing leaves padding as it is; unpacking adds.
void PackLayer(const LayerShape& layer, const float* weights, const float* biases, float* packed);
void AddUnpackedLayer(const LayerShape& layer, const float* packed, float* weights, float* biases);

}  // namespace innerloop::meta::fused
