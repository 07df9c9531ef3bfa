// How the math library inside LibTorch computes on this machine's CPU.
#pragma once

namespace innerloop::meta {

// Makes MKL use AVX-512 on every CPU that has it, also on those that are not Intel's. To be called
// before the first matrix product.
void UseWidestVectors();

}  // namespace innerloop::meta
