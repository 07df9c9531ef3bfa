#include "core/meta/math_library.h"

#if defined(__x86_64__)

#include <cpuid.h>

namespace {

bool MadeByIntel() {
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  __get_cpuid(0, &eax, &ebx, &ecx, &edx);
  return ebx == signature_INTEL_ebx && ecx == signature_INTEL_ecx && edx == signature_INTEL_edx;
}

bool HasAvx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

}  // namespace

// MKL asks this function of its own before it looks at what the CPU can do, and on the CPUs of
// others stays with 256-bit kernels, half as fast (105 against 245 GFLOP/s on a Zen 5 core). The
// program's definition comes before the library's; where MKL does not know the name, nothing
// changes.
extern "C" __attribute__((visibility("default"))) int mkl_serv_intel_cpu_true() {
  static const int answer = MadeByIntel() || HasAvx512() ? 1 : 0;
  return answer;
}

#endif  // defined(__x86_64__)

namespace innerloop::meta {

// The work is done by linking this file.
void UseWidestVectors() {}

}  // namespace innerloop::meta
