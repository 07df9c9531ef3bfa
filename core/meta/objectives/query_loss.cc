#include "core/meta/objectives/query_loss.h"

namespace innerloop::meta {
namespace {

class QueryLoss final : public ObjectiveTerm {
 public:
  Tensor ValuesAt(size_t step, InnerLoops& loops) const override {
    return loops.QueriesAt(step).losses;
  }
};

}  // namespace

std::unique_ptr<ObjectiveTerm> CreateQueryLoss() { return std::make_unique<QueryLoss>(); }

}  // namespace innerloop::meta
