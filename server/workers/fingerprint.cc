#include "server/workers/fingerprint.h"

#include <array>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace innerloop::server {
namespace {

// Numerics version, LibTorch, device, math. Names of devices may hold slashes.
std::array<absl::string_view, 4> Parts(absl::string_view canonical) {
  std::array<absl::string_view, 4> parts;
  for (int i = 0; i < 2; ++i) {
    const size_t slash = canonical.find('/');
    parts.at(i) = canonical.substr(0, slash);
    canonical.remove_prefix(slash == absl::string_view::npos ? canonical.size() : slash + 1);
  }
  const size_t last = canonical.rfind('/');
  parts[2] = canonical.substr(0, last);
  parts[3] = last == absl::string_view::npos ? "" : canonical.substr(last + 1);
  return parts;
}

}  // namespace

std::string Canonical(const v1::NumericsFingerprint& fingerprint) {
  return absl::StrCat(fingerprint.numerics_version(), "/", fingerprint.libtorch(), "/",
                      fingerprint.device(), "/", fingerprint.math());
}

std::string Difference(absl::string_view wanted, absl::string_view has) {
  const auto wanted_parts = Parts(wanted);
  const auto has_parts = Parts(has);
  constexpr std::array<absl::string_view, 4> kNames = {"another build (numerics version ",
                                                       "another LibTorch (", "another processor (",
                                                       "another math library ("};
  std::vector<std::string> differences;
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (wanted_parts.at(i) != has_parts.at(i)) {
      differences.push_back(absl::StrCat(kNames.at(i), "'", has_parts.at(i), "' instead of '",
                                         wanted_parts.at(i), "')"));
    }
  }
  return absl::StrJoin(differences, ", ");
}

}  // namespace innerloop::server
