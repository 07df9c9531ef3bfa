#include "core/tensor/transfer.h"

#include <algorithm>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/support/checksum.h"
#include "innerloop/v1/work.pb.h"

namespace innerloop {
namespace {

using ::testing::HasSubstr;

TEST(FrameHeader, IsReadByTheGeneratedCode) {
  for (const size_t size : {size_t{0}, size_t{1}, size_t{127}, size_t{128}, size_t{1} << 20}) {
    for (const uint64_t number : {uint64_t{0}, uint64_t{300}, UINT64_MAX}) {
      const std::string data(size, 'd');
      const std::string bytes =
          FrameHeader(/*frame_field=*/4, /*transfer=*/number, /*offset=*/number / 2,
                      /*crc32c=*/0x80FF0001, size) +
          data;
      v1::CoordinatorMessage down;
      ASSERT_TRUE(down.ParseFromString(bytes)) << size;
      ASSERT_EQ(down.instructions_size(), 1);
      const v1::Frame& frame = down.instructions(0).frame();
      EXPECT_EQ(frame.transfer(), number);
      EXPECT_EQ(frame.offset(), number / 2);
      EXPECT_EQ(frame.crc32c(), 0x80FF0001);
      EXPECT_EQ(frame.data(), data);
      v1::WorkerMessage up;
      ASSERT_TRUE(up.ParseFromString(bytes + bytes));
      ASSERT_EQ(up.reports_size(), 2);
      EXPECT_EQ(up.reports(1).frame().data(), data);
    }
  }
}

TEST(IncomingTransfer, PutsFramesTogether) {
  FlatBuffer sent(1000);
  for (int64_t i = 0; i < sent.size(); ++i) {
    sent.data()[i] = static_cast<float>(i);
  }
  IncomingTransfer transfer(/*transfer=*/9, /*bytes=*/4000);
  for (uint64_t offset = 0; offset < 4000; offset += 1501) {  // frames need not end with a value
    ASSERT_FALSE(transfer.complete());
    const absl::string_view piece = sent.bytes().substr(offset, 1501);
    char* const place = transfer.Reserve(offset, piece.size()).value();
    std::copy(piece.begin(), piece.end(), place);
    ASSERT_TRUE(transfer.Commit(piece.size(), Crc32c(piece)).ok());
  }
  ASSERT_TRUE(transfer.complete());
  EXPECT_EQ(transfer.Take().values(), sent.values());
}

TEST(IncomingTransfer, RefusesFramesThatDoNotFit) {
  IncomingTransfer transfer(/*transfer=*/9, /*bytes=*/uint64_t{4} << 20);
  const auto refused = [&](uint64_t offset, uint64_t size) {
    const absl::Status status = transfer.Reserve(offset, size).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << offset << " " << size;
    return std::string(status.message());
  };
  EXPECT_THAT(refused(4, 4), HasSubstr("transfer 9: a frame begins at byte 4; byte 0 is next"));
  EXPECT_THAT(refused(UINT64_MAX, 4), HasSubstr("byte 0 is next"));
  EXPECT_THAT(refused(0, 0), HasSubstr("0 bytes"));
  EXPECT_THAT(refused(0, (1 << 20) + 1), HasSubstr("frames have 1 to 1048576"));
  EXPECT_THAT(refused(0, UINT64_MAX), HasSubstr("frames have 1 to 1048576"));

  IncomingTransfer small(/*transfer=*/1, /*bytes=*/8);
  EXPECT_THAT(std::string(small.Reserve(0, 9).status().message()), HasSubstr("beyond the 8 bytes"));
}

TEST(IncomingTransfer, NoticesDamageAndDoesNotGoOn) {
  IncomingTransfer transfer(/*transfer=*/2, /*bytes=*/8);
  std::copy_n("abcd", 4, transfer.Reserve(0, 4).value());
  const absl::Status status = transfer.Commit(4, Crc32c("abce"));
  EXPECT_TRUE(absl::IsDataLoss(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("transfer 2: the frame at byte 0"));
  EXPECT_TRUE(transfer.Reserve(0, 4).ok());  // still the next one
  EXPECT_FALSE(transfer.complete());
}

}  // namespace
}  // namespace innerloop
