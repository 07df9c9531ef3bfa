#include <cstdlib>
#include <fstream>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/meta/program.h"
#include "core/meta/tensors.h"
#include "torch/version.h"

namespace innerloop::meta {
namespace {

// Raise it with every change of core/meta that changes a result's bits.
constexpr char kNumericsVersion[] = "1";

// The processor's name; math libraries choose their kernels by it.
std::string ProcessorModel() {
  std::ifstream file("/proc/cpuinfo");
  std::string line;
  while (std::getline(file, line)) {
    if (absl::StartsWith(line, "model name")) {
      const size_t colon = line.find(':');
      if (colon != std::string::npos) {
        return std::string(absl::StripAsciiWhitespace(absl::string_view(line).substr(colon + 1)));
      }
    }
  }
  return "unknown processor";
}

// Settings of MKL by which a user may choose other kernels.
std::string MathSettings() {
  std::string settings;
  for (const char* name : {"MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS"}) {
    if (const char* value = std::getenv(name); value != nullptr) {
      absl::StrAppend(&settings, " ", name, "=", value);
    }
  }
  return settings;
}

}  // namespace

v1::NumericsFingerprint Fingerprint() {
  v1::NumericsFingerprint fingerprint;
  fingerprint.set_numerics_version(kNumericsVersion);
  fingerprint.set_libtorch(LibTorchVersion());
  fingerprint.set_device(ProcessorModel());
  fingerprint.set_math(absl::StrCat(at::get_cpu_capability(), MathSettings()));
  return fingerprint;
}

std::string LibTorchVersion() {
  return absl::StrCat(TORCH_VERSION_MAJOR, ".", TORCH_VERSION_MINOR, ".", TORCH_VERSION_PATCH);
}

}  // namespace innerloop::meta
