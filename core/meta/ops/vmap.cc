#include "core/meta/ops/vmap.h"

#include <ATen/functorch/BatchedTensorImpl.h>
#include <ATen/functorch/DynamicLayer.h>

namespace innerloop::meta {

namespace functorch = at::functorch;

TaskMap::TaskMap(int64_t tasks)
    : tasks_(tasks),
      level_(functorch::initAndPushDynamicLayer(functorch::TransformType::Vmap, tasks,
                                                functorch::RandomnessType::Error)) {}

TaskMap::~TaskMap() { functorch::popDynamicLayerAndDeleteMetadata(); }

Tensor TaskMap::Enter(const Tensor& values) const {
  TORCH_CHECK(values.size(0) == tasks_, "a tensor of ", values.size(0), " tasks where ", tasks_,
              " are computed");
  return functorch::addBatchDim(values, /*dim=*/0, level_);
}

Tensor TaskMap::Leave(const Tensor& result) const {
  const auto* batched = functorch::maybeGetBatchedImpl(result);
  if (batched == nullptr || batched->level() != level_) {
    std::vector<int64_t> sizes = result.sizes().vec();
    sizes.insert(sizes.begin(), tasks_);
    return result.expand(sizes);
  }
  return batched->value().movedim(batched->bdim(), 0);
}

}  // namespace innerloop::meta
