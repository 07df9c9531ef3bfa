#include "core/rpc/listen_address.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace innerloop {
namespace {

using ::testing::HasSubstr;

TEST(ListenAddressTest, ReadsHostsAndPorts) {
  EXPECT_EQ(ParseHostPort("127.0.0.1:7400")->port, 7400);
  EXPECT_EQ(ParseHostPort("worker-1.example:0")->host, "worker-1.example");
  EXPECT_EQ(ParseHostPort("[::1]:80")->host, "::1");
}

TEST(ListenAddressTest, RefusesWhatIsNoAddress) {
  for (const char* text :
       {"", ":80", "host", "host:", "host:65536", "host:-1", "::1:80", "[host]:1", "host:8o"}) {
    const auto parsed = ParseHostPort(text);
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_THAT(std::string(parsed.status().message()), HasSubstr("HOST:PORT or [IPV6]:PORT"));
  }
}

TEST(ListenAddressTest, KnowsWhatOnlyThisMachineReaches) {
  for (const char* host : {"127.0.0.1", "127.1.2.3", "::1", "localhost"}) {
    EXPECT_TRUE(IsLoopback(host)) << host;
  }
  for (const char* host :
       {"0.0.0.0", "::", "10.0.0.1", "128.0.0.1", "localhost.example", "127.example"}) {
    EXPECT_FALSE(IsLoopback(host)) << host;
  }
}

TEST(ListenAddressTest, AnAddressOfAllInterfacesIsReachedByName) {
  EXPECT_EQ(ReachableAddress("0.0.0.0:81", "box"), "box:81");
  EXPECT_EQ(ReachableAddress("[::]:81", "box"), "box:81");
  EXPECT_EQ(ReachableAddress("127.0.0.1:81", "box"), "127.0.0.1:81");
  EXPECT_EQ(ReachableAddress("", "box"), "");
}

}  // namespace
}  // namespace innerloop
