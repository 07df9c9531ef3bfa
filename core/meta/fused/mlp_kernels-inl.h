// A multilayer perceptron's outputs, loss gradients and Hessian-vector products, for one task.
// Compiled once for each instruction set; includes no LibTorch.
//
// With a_0 the inputs, z_l = a_l W_l + b_l and a_{l+1} = f(z_l), backpropagation gives
//   dz_{l-1} = f'(z_{l-1}) * (dz_l W_l^T),   dW_l = a_l^T dz_l,   db_l = sum of dz_l's rows.
// R{.} is the derivative along v of the parameters (Pearlmutter 1994, "Fast exact multiplication by
// the Hessian"): it turns these formulas into those of the Hessian-vector product:
//   R{z_l} = R{a_l} W_l + a_l V_l + vb_l,   R{a_{l+1}} = f'(z_l) * R{z_l},
//   R{dz_{l-1}} = f' * (R{dz_l} W_l^T + dz_l V_l^T) + f'' * R{z_{l-1}} * (dz_l W_l^T),
//   R{dW_l} = R{a_l}^T dz_l + a_l^T R{dz_l}.
#if defined(INNERLOOP_FUSED_MLP_KERNELS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef INNERLOOP_FUSED_MLP_KERNELS_INL_H_
#undef INNERLOOP_FUSED_MLP_KERNELS_INL_H_
#else
#define INNERLOOP_FUSED_MLP_KERNELS_INL_H_
#endif

#include "core/meta/fused/activations-inl.h"
#include "core/meta/fused/losses-inl.h"
#include "core/meta/fused/mlp_shape.h"
#include "core/meta/fused/small_gemm-inl.h"

HWY_BEFORE_NAMESPACE();
namespace innerloop::meta::fused {
namespace HWY_NAMESPACE {

// A point in parameter space.
struct Point {
  const float* parameters;  // packed
  const float* transposes;  // of its weights
};

// What a pass at one point leaves behind, rows of all layers one after the other: layer l's begin
// at n * columns_before.
struct Pass {
  float* outputs = nullptr;        // a_{l+1}; for the last layer z
  float* deltas = nullptr;         // dz_l
  float* probabilities = nullptr;  // of the last layer, for cross-entropy
};

// The same along v.
struct Tangent {
  float* transposes = nullptr;  // of v's weights
  float* pre = nullptr;         // R{z_l}, where the activation is curved
  float* outputs = nullptr;     // R{a_{l+1}}; for the last layer R{z}
  float* deltas = nullptr;      // R{dz_l}
};

inline void TransposeWeights(const MlpShape& shape, const float* parameters, float* transposes) {
  for (const LayerShape& layer : shape.layers) {
    if (layer.transposed) {
      Transpose(parameters + layer.weights, layer.inputs, layer.outputs, layer.padded_outputs,
                transposes + layer.transpose, layer.padded_inputs);
    }
  }
}

// [outputs, padded_inputs]
inline const float* WeightsByOutput(const LayerShape& layer, const float* parameters,
                                    const float* transposes) {
  return layer.by_output ? parameters + layer.weights : transposes + layer.transpose;
}

// out [n, padded_outputs] = bias + sum over terms of x [n, padded_inputs] times w (as the layer
// stores it).
inline void Affine(const LayerShape& layer, const DotProducts* terms, size_t count, size_t n,
                   const float* bias, float* out) {
  if (layer.by_output) {
    MultiplyByRows(terms, count, n, layer.outputs, layer.padded_inputs, bias, out,
                   layer.padded_outputs);
    return;
  }
  Product products[2];
  for (size_t t = 0; t < count; ++t) {
    products[t] = {terms[t].x, layer.padded_inputs,  /*a_step=*/1,
                   terms[t].w, layer.padded_outputs, layer.inputs};
  }
  Multiply(products, count, n, layer.padded_outputs,
           {bias, /*base_row=*/0, /*scale=*/1.0f, out, layer.padded_outputs});
}

// Weights: out = base + scale * sum over pairs of x^T dz, as the layer stores them.
struct OuterProducts {
  const float* x;   // [n, padded_inputs]
  const float* dz;  // [n, padded_outputs]
};
inline void AddOuterProducts(const LayerShape& layer, const OuterProducts* pairs, size_t count,
                             size_t n, float scale, const float* base, float* out) {
  Product products[2];
  for (size_t t = 0; t < count; ++t) {
    const float* x = pairs[t].x;
    const float* dz = pairs[t].dz;
    products[t] = layer.by_output ? Product{dz, 1, layer.padded_outputs, x, layer.padded_inputs, n}
                                  : Product{x, 1, layer.padded_inputs, dz, layer.padded_outputs, n};
  }
  const size_t offset = layer.weights;
  const size_t columns = layer.weight_columns();
  Multiply(products, count, layer.weight_rows(), columns,
           {base == nullptr ? nullptr : base + offset, columns, scale, out + offset, columns});
}

// Biases: out = base + scale * sum of dz's rows.
inline void AddRows(const LayerShape& layer, const float* dz, size_t n, float scale,
                    const float* base, float* out) {
  static constexpr float kOne = 1.0f;
  const Product product = {&kOne, 0, 0, dz, layer.padded_outputs, n};
  Multiply(&product, 1, /*rows=*/1, layer.padded_outputs,
           {base == nullptr ? nullptr : base + layer.biases, 0, scale, out + layer.biases,
            layer.padded_outputs});
}

// Rows that layer l reads.
inline const float* InputsOf(const MlpShape& shape, size_t l, size_t n, const float* inputs,
                             const float* outputs) {
  return l == 0 ? inputs : outputs + n * shape.layers[l - 1].columns_before;
}

inline void Forward(const MlpShape& shape, const float* parameters, const float* inputs, size_t n,
                    float* outputs) {
  for (size_t l = 0; l < shape.layers.size(); ++l) {
    const LayerShape& layer = shape.layers[l];
    const DotProducts term = {InputsOf(shape, l, n, inputs, outputs), parameters + layer.weights};
    float* out = outputs + n * layer.columns_before;
    Affine(layer, &term, 1, n, parameters + layer.biases, out);
    if (l + 1 < shape.layers.size()) {
      Activate(shape.activation, out, n * layer.padded_outputs);
    }
  }
}

// Fills in the deltas below the last layer's, which the loss gives.
inline void PropagateDeltas(const MlpShape& shape, const Point& point, size_t n, const Pass& pass) {
  for (size_t l = shape.layers.size() - 1; l > 0; --l) {
    const LayerShape& layer = shape.layers[l];
    const size_t below = n * shape.layers[l - 1].columns_before;
    const Product product = {pass.deltas + n * layer.columns_before,
                             layer.padded_outputs,
                             /*a_step=*/1,
                             WeightsByOutput(layer, point.parameters, point.transposes),
                             layer.padded_inputs,
                             layer.outputs};
    Multiply(&product, 1, n, layer.padded_inputs,
             {nullptr, 0, 1.0f, pass.deltas + below, layer.padded_inputs});
    MultiplyBySlope(shape.activation, pass.outputs + below, pass.deltas + below,
                    n * layer.padded_inputs);
  }
}

// out = base + scale * the loss's gradient in the parameters, all packed. `base` may be null or
// `out`.
inline void AddGradient(const MlpShape& shape, const float* inputs, size_t n, const Pass& pass,
                        float scale, const float* base, float* out) {
  for (size_t l = 0; l < shape.layers.size(); ++l) {
    const LayerShape& layer = shape.layers[l];
    const float* deltas = pass.deltas + n * layer.columns_before;
    const OuterProducts pair = {InputsOf(shape, l, n, inputs, pass.outputs), deltas};
    AddOuterProducts(layer, &pair, 1, n, scale, base, out);
    AddRows(layer, deltas, n, scale, base, out);
  }
}

// v = v + scale * H v, with H the Hessian of the loss at the point that `pass` was made at.
inline void AddHessianProduct(const MlpShape& shape, const Point& point, const LossRows& rows,
                              const float* inputs, const Pass& pass, float scale,
                              const Tangent& tangent, float* v) {
  const size_t n = rows.count;
  const size_t depth = shape.layers.size();
  TransposeWeights(shape, v, tangent.transposes);
  for (size_t l = 0; l < depth; ++l) {
    const LayerShape& layer = shape.layers[l];
    const DotProducts terms[2] = {
        {InputsOf(shape, l, n, inputs, pass.outputs), v + layer.weights},
        {InputsOf(shape, l, n, nullptr, tangent.outputs), point.parameters + layer.weights}};
    const size_t at = n * layer.columns_before;
    const size_t size = n * layer.padded_outputs;
    Affine(layer, terms, l == 0 ? 1 : 2, n, v + layer.biases, tangent.outputs + at);
    if (l + 1 < depth) {
      if (IsCurved(shape.activation)) {
        std::copy_n(tangent.outputs + at, size, tangent.pre + at);
      }
      MultiplyBySlope(shape.activation, pass.outputs + at, tangent.outputs + at, size);
    }
  }
  const size_t top = n * shape.last().columns_before;
  LossTangent(shape, rows, pass.probabilities, tangent.outputs + top, tangent.deltas + top);
  for (size_t l = depth - 1; l > 0; --l) {
    const LayerShape& layer = shape.layers[l];
    const size_t at = n * layer.columns_before;
    const size_t below = n * shape.layers[l - 1].columns_before;
    const size_t size = n * layer.padded_inputs;
    const float* w = WeightsByOutput(layer, point.parameters, point.transposes);
    const float* w_tangent = WeightsByOutput(layer, v, tangent.transposes);
    const Product products[2] = {
        {tangent.deltas + at, layer.padded_outputs, 1, w, layer.padded_inputs, layer.outputs},
        {pass.deltas + at, layer.padded_outputs, 1, w_tangent, layer.padded_inputs, layer.outputs}};
    float* deltas = tangent.deltas + below;
    Multiply(products, 2, n, layer.padded_inputs, {nullptr, 0, 1.0f, deltas, layer.padded_inputs});
    MultiplyBySlope(shape.activation, pass.outputs + below, deltas, size);
    if (IsCurved(shape.activation)) {
      AddCurvature(pass.outputs + below, tangent.pre + below, pass.deltas + below, deltas, size);
    }
  }
  for (size_t l = 0; l < depth; ++l) {
    const LayerShape& layer = shape.layers[l];
    const size_t at = n * layer.columns_before;
    const OuterProducts pairs[2] = {
        {InputsOf(shape, l, n, inputs, pass.outputs), tangent.deltas + at},
        {InputsOf(shape, l, n, nullptr, tangent.outputs), pass.deltas + at}};
    AddOuterProducts(layer, pairs, l == 0 ? 1 : 2, n, scale, v, v);
    AddRows(layer, tangent.deltas + at, n, scale, v, v);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace innerloop::meta::fused
HWY_AFTER_NAMESPACE();

#endif  // include guard of each instruction set
