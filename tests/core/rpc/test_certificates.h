// Certificates for tests.
#pragma once

#include <string>

#include <gtest/gtest.h>

#include "absl/time/clock.h"
#include "client/certificates/authority.h"
#include "core/rpc/certificate.h"
#include "core/rpc/credentials.h"
#include "tests/core/support/temporary_folder.h"

namespace innerloop {

// An authority in a folder of its own. One thread only.
class TestAuthority {
 public:
  explicit TestAuthority(const std::string& name = "test authority") {
    const absl::Status made = client::MakeAuthority(folder_ / "authority", name, absl::Now());
    EXPECT_TRUE(made.ok()) << made;
  }

  std::string ca() const { return folder_ / "authority/ca.pem"; }
  std::string folder() const { return folder_ / "authority"; }

  // A new certificate and its key; one for a day that began `age` ago.
  TlsFiles Issue(const std::string& role, const std::string& name = "ada",
                 absl::Duration age = absl::ZeroDuration(),
                 const std::vector<std::string>& hosts = {}) {
    const std::string out = folder_ / std::to_string(++issued_);
    const absl::Status made = client::IssueCertificate(
        folder(), {.role = role, .name = name, .hosts = hosts, .days = 1}, out, absl::Now() - age);
    EXPECT_TRUE(made.ok()) << made;
    return {.cert = out + "/cert.pem", .key = out + "/key.pem", .ca = out + "/ca.pem"};
  }

 private:
  const TemporaryFolder folder_;
  int issued_ = 0;
};

}  // namespace innerloop
