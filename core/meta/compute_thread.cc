#include <mutex>

#include "core/meta/math_library.h"
#include "core/meta/program.h"
#include "core/meta/tensors.h"

namespace innerloop::meta {

void PrepareComputeThread() {
  static std::once_flag once;
  std::call_once(once, [] {
    UseWidestVectors();
    at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false);
    // Would fill every new tensor, to show reads of uninitialised memory.
    at::globalContext().setDeterministicFillUninitializedMemory(false);
  });
  at::set_num_threads(1);
  at::globalContext().setFlushDenormal(true);
}

}  // namespace innerloop::meta
