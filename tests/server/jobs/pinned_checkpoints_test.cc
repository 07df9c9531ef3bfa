#include "server/jobs/pinned_checkpoints.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace innerloop::server {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

PinnedCheckpoints::Pin PinOf(const std::string& reference) {
  auto pin = std::make_shared<PinnedCheckpoint>();
  pin->reference = reference;
  return pin;
}

std::vector<std::string> Gone(PinnedCheckpoints& pins, absl::Duration now) {
  std::vector<std::string> references;
  for (const auto& pin : pins.Expire(now)) {
    references.push_back(pin->reference);
  }
  return references;
}

TEST(PinnedCheckpointsTest, TheFirstOfAReferenceStays) {
  PinnedCheckpoints pins;
  const auto first = pins.Add(PinOf("a@1"), absl::Seconds(1));
  EXPECT_EQ(pins.Add(PinOf("a@1"), absl::Seconds(2)), first);
  EXPECT_EQ(pins.Find("a@1", absl::Seconds(3)), first);
  EXPECT_EQ(pins.Find("a@2", absl::Seconds(3)), nullptr);
}

TEST(PinnedCheckpointsTest, OneGoesAMinuteAfterItsLastUse) {
  PinnedCheckpoints pins;
  pins.Add(PinOf("a@1"), absl::Seconds(0));
  pins.Add(PinOf("b@1"), absl::Seconds(0));
  EXPECT_NE(pins.Find("a@1", absl::Seconds(30)), nullptr);
  EXPECT_THAT(Gone(pins, absl::Seconds(60)), IsEmpty());
  EXPECT_THAT(Gone(pins, absl::Seconds(61)), ElementsAre("b@1"));
  EXPECT_THAT(Gone(pins, absl::Seconds(91)), ElementsAre("a@1"));
  EXPECT_EQ(pins.Find("a@1", absl::Seconds(91)), nullptr);
}

TEST(PinnedCheckpointsTest, OfTooManyTheOneUsedLeastRecentlyGoes) {
  PinnedCheckpoints pins;
  for (size_t i = 0; i < PinnedCheckpoints::kMost; ++i) {
    pins.Add(PinOf(std::to_string(i)), absl::Seconds(i));
  }
  EXPECT_NE(pins.Find("0", absl::Seconds(20)), nullptr);
  EXPECT_THAT(Gone(pins, absl::Seconds(20)), IsEmpty());
  pins.Add(PinOf("new"), absl::Seconds(21));
  EXPECT_THAT(Gone(pins, absl::Seconds(21)), ElementsAre("1"));
}

}  // namespace
}  // namespace innerloop::server
