#include "core/meta/models/conv4.h"

#include "absl/strings/str_cat.h"
#include "core/meta/models/affine.h"
#include "core/meta/models/initialiser.h"
#include "core/meta/ops/batch_norm.h"
#include "core/meta/ops/convolution.h"
#include "core/meta/ops/layer_norm.h"
#include "core/meta/ops/max_pool.h"
#include "core/support/status_macros.h"

namespace innerloop::meta {
namespace {

constexpr int kBlocks = 4;

// In the order of Convolve3x3, so that sums round alike.
constexpr char kConvolveScript[] = R"(
def convolve(self, x: Tensor, weight: Tensor, stride: int) -> Tensor:
  height = x.size(1)
  width = x.size(2)
  padded = torch.constant_pad_nd(x, [0, 0, 1, 1, 1, 1])
  windows: List[Tensor] = []
  for y in range(3):
    for z in range(3):
      windows.append(padded[:, y:y + height:stride, z:z + width:stride])
  return torch.matmul(torch.cat(windows, 3), weight)
)";
constexpr char kPoolScript[] = R"(  height = x.size(1) // 2
  width = x.size(2) // 2
  x = x[:, :2 * height, :2 * width].reshape([x.size(0), height, 2, width, 2, x.size(3)])
  x = x.amax([2, 4])
)";

class Conv4 final : public Model {
 public:
  Conv4(const v1::Conv4Model& spec, const TaskShape& shape)
      : pool_(spec.downsampling() == v1::Conv4Model::DOWNSAMPLING_MAX_POOL),
        norm_(spec.norm()),
        flatten_(spec.head() == v1::Conv4Model::HEAD_FLATTEN) {
    const int64_t filters = spec.filters();
    int64_t height = shape.input[0];
    int64_t width = shape.input[1];
    int64_t channels = shape.input[2];
    for (int block = 1; block <= kBlocks; ++block) {
      const std::string name = absl::StrCat("conv", block);
      parameters_.push_back({name + ".weight",
                             {9 * channels, filters},
                             WeightInitialiser(spec.initialisation(), 9 * channels, 9 * filters)});
      if (norm_ != v1::Conv4Model::NORM_BATCH) {
        parameters_.push_back({name + ".bias", {filters}, {}});
      }
      if (norm_ != v1::Conv4Model::NORM_NONE) {
        AddNorm(absl::StrCat("norm", block), filters, parameters_);
      }
      height = pool_ ? height / 2 : (height + 1) / 2;
      width = pool_ ? width / 2 : (width + 1) / 2;
      channels = filters;
    }
    block_parameters_ = parameters_.size();
    if (shape.outputs == 0) {
      return;
    }
    AddAffine("head", flatten_ ? height * width * filters : filters, shape.outputs,
              spec.initialisation(), parameters_);
  }

  Tensor Forward(absl::Span<const Tensor> parameters, const Tensor& inputs,
                 const ForwardOptions& options) const override {
    const Tensor x = Features(parameters, inputs, options);
    const absl::Span<const Tensor> head = parameters.subspan(block_parameters_);
    return head.empty() ? x : Affine(x, head[0], head[1]);
  }

  Tensor Features(absl::Span<const Tensor> parameters, const Tensor& inputs,
                  const ForwardOptions& options) const override {
    const Tensor* next = parameters.data();
    Tensor x = inputs;
    for (int block = 0; block < kBlocks; ++block) {
      const Tensor& weight = *next++;
      const Tensor bias = norm_ == v1::Conv4Model::NORM_BATCH ? Tensor() : *next++;
      x = Convolve3x3(x, weight, bias, pool_ ? 1 : 2);
      if (norm_ == v1::Conv4Model::NORM_NONE) {
        x = at::relu(x);
      } else {
        x = NormAndRelu(x, next[0], next[1], options);
        next += 2;
      }
      if (pool_) {
        const int64_t count = x.size(1);
        x = MaxPool2x2(x.flatten(0, 1)).unflatten(0, {-1, count});
      }
    }
    return flatten_ ? x.flatten(2) : x.mean({2, 3});
  }

  ModelScript Script(absl::Span<const Tensor> parameters) const override {
    ModelScript script{.stages = {""}, .helpers = kConvolveScript};
    for (int block = 1; block <= kBlocks; ++block) {
      absl::StrAppend(&script.stages.back(), "  x = self.convolve(x, self.conv", block, "_weight, ",
                      pool_ ? 1 : 2, ")\n");
      if (norm_ == v1::Conv4Model::NORM_BATCH) {
        script.norms.push_back(absl::StrCat("norm", block));
        script.stages.emplace_back();
      } else {
        absl::StrAppend(&script.stages.back(), "  x = x + self.conv", block, "_bias\n");
      }
      if (norm_ == v1::Conv4Model::NORM_LAYER) {
        absl::StrAppend(&script.stages.back(),
                        "  x = x - x.mean([1, 2, 3], keepdim=True)\n"
                        "  x = x * ((x * x).mean([1, 2, 3], keepdim=True) + 1e-5).rsqrt()\n"
                        "  x = x * self.norm",
                        block, "_scale + self.norm", block, "_shift\n");
      }
      script.stages.back() += "  x = torch.relu(x)\n";
      script.stages.back() += pool_ ? kPoolScript : "";
    }
    script.stages.back() += flatten_ ? "  x = x.flatten(1)\n" : "  x = x.mean([1, 2])\n";
    script.stages.back() += parameters.size() > block_parameters_ ? AffineScript("head") : "";
    return script;
  }

 private:
  // x [T, n, H, W, C].
  Tensor NormAndRelu(const Tensor& x, const Tensor& scale, const Tensor& shift,
                     const ForwardOptions& options) const {
    if (norm_ == v1::Conv4Model::NORM_LAYER) {
      return at::relu(LayerNorm(x.flatten(2, 3), scale, shift)).view(x.sizes());
    }
    const int64_t places = x.size(2) * x.size(3);
    const int64_t rows = options.statistics_rows < 0 ? -1 : options.statistics_rows * places;
    return BatchNorm(x.flatten(1, 3), scale, shift, {.negative_slope = 0, .statistics_rows = rows})
        .view(x.sizes());
  }

  const bool pool_;
  const v1::Conv4Model::Norm norm_;
  const bool flatten_;
  size_t block_parameters_ = 0;
};

absl::Status Unknown(absl::string_view field, int value, absl::string_view known) {
  return absl::InvalidArgumentError(
      absl::StrCat("model.conv4.", field, " is unknown (", value, "); known: ", known));
}

absl::Status Check(const v1::Conv4Model& spec, const TaskShape& shape) {
  using Spec = v1::Conv4Model;
  INNERLOOP_RETURN_IF_ERROR(
      CheckInitialisation(spec.initialisation(), "model.conv4.initialisation"));
  if (spec.filters() == 0) {
    return absl::InvalidArgumentError("model.conv4.filters is 0; it must be 1 or more");
  }
  if (spec.downsampling() != Spec::DOWNSAMPLING_STRIDE &&
      spec.downsampling() != Spec::DOWNSAMPLING_MAX_POOL) {
    return Unknown("downsampling", spec.downsampling(), "STRIDE, MAX_POOL");
  }
  if (spec.norm() == Spec::NORM_UNSPECIFIED || !Spec::Norm_IsValid(spec.norm())) {
    return Unknown("norm", spec.norm(), "BATCH, LAYER, NONE");
  }
  if (spec.head() == Spec::HEAD_UNSPECIFIED || !Spec::Head_IsValid(spec.head())) {
    return Unknown("head", spec.head(), "SPATIAL_MEAN, FLATTEN");
  }
  if (shape.input.size() != 3) {
    return absl::InvalidArgumentError(
        absl::StrCat("model.conv4 wants images; the tasks' examples have ", shape.input.size(),
                     " dimension(s) instead of height, width and channels"));
  }
  const int64_t least = int64_t{1} << kBlocks;
  if (spec.downsampling() == Spec::DOWNSAMPLING_MAX_POOL &&
      (shape.input[0] < least || shape.input[1] < least)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "model.conv4.downsampling is MAX_POOL, which halves images four times; these are ",
        shape.input[0], "x", shape.input[1], " and must be at least ", least, "x", least));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Model>> CreateConv4(const v1::Conv4Model& spec,
                                                   const TaskShape& shape) {
  INNERLOOP_RETURN_IF_ERROR(Check(spec, shape));
  return std::make_unique<Conv4>(spec, shape);
}

}  // namespace innerloop::meta
