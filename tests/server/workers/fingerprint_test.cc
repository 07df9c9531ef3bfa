#include "server/workers/fingerprint.h"

#include <gtest/gtest.h>

namespace innerloop::server {
namespace {

v1::NumericsFingerprint Fingerprint(const std::string& device) {
  v1::NumericsFingerprint fingerprint;
  fingerprint.set_numerics_version("1");
  fingerprint.set_libtorch("2.11.0");
  fingerprint.set_device(device);
  fingerprint.set_math("AVX512");
  return fingerprint;
}

TEST(FingerprintTest, DifferencesNameBuildProcessorAndMathLibrary) {
  const std::string wanted = Canonical(Fingerprint("EPYC 7B13"));
  EXPECT_EQ(Difference(wanted, wanted), "");
  EXPECT_EQ(Difference(wanted, Canonical(Fingerprint("Xeon w/ HBM"))),
            "another processor ('Xeon w/ HBM' instead of 'EPYC 7B13')");
  v1::NumericsFingerprint other = Fingerprint("EPYC 7B13");
  other.set_numerics_version("2");
  EXPECT_EQ(Difference(wanted, Canonical(other)),
            "another build (numerics version '2' instead of '1')");
  other = Fingerprint("EPYC 7B13");
  other.set_libtorch("2.12.0");
  other.set_math("AVX2");
  EXPECT_EQ(Difference(wanted, Canonical(other)),
            "another LibTorch ('2.12.0' instead of '2.11.0'), another math library ('AVX2' "
            "instead of 'AVX512')");
}

TEST(FingerprintTest, OnesOfAnotherFormAreComparedAllTheSame) {
  EXPECT_EQ(Difference("", ""), "");
  EXPECT_NE(Difference("1", "2"), "");
  EXPECT_NE(Difference("1/2/3/4", "1/2"), "");
}

}  // namespace
}  // namespace innerloop::server
