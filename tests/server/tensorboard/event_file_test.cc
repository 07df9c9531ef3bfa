#include "server/tensorboard/event_file.h"

#include <csignal>

#include <sys/resource.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/escaping.h"
#include "tests/server/tensorboard/events.h"

namespace innerloop::server {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

tensorboard::Event Scalar(int64_t step, const std::string& tag = "loss") {
  tensorboard::Event event;
  event.set_step(step);
  auto* value = event.mutable_summary()->add_value();
  value->set_tag(tag);
  value->set_simple_value(0.5F);
  return event;
}

// No file may grow beyond so many bytes, as on a full disk.
class FullDisk {
 public:
  explicit FullDisk(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit full{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &full);
  }
  ~FullDisk() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  sighandler_t handler_;
};

TEST(TfRecordFraming, IsTensorBoards) {
  // What TensorBoard's own RecordWriter makes of b"hello".
  EXPECT_EQ(absl::BytesToHexString(TfRecord("hello")),
            "0500000000000000eab2043e68656c6c6fbb1f1c19");
}

TEST(EventFileTest, BeginsWithTheVersionAndTheStepFromWhichItCounts) {
  const TemporaryFolder folder;
  const auto file = EventFile::Create(folder / "job", kNow, 7);
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_TRUE((*file)->Append({Scalar(7), Scalar(8)}).ok());
  const std::vector<tensorboard::Event> events = ReadEvents((*file)->path());
  ASSERT_THAT(events, SizeIs(4));
  EXPECT_EQ(events[0].file_version(), "brain.Event:2");
  EXPECT_EQ(events[0].wall_time(), 1'800'000'000);
  EXPECT_EQ(events[1].session_log().status(), tensorboard::SessionLog::START);
  EXPECT_EQ(events[1].step(), 7);
  EXPECT_EQ(events[2].SerializeAsString(), Scalar(7).SerializeAsString());
  EXPECT_EQ(events[3].SerializeAsString(), Scalar(8).SerializeAsString());
}

TEST(EventFileTest, SortsBehindEarlierFilesThoughTheClockWasSetBack) {
  const TemporaryFolder folder;
  const auto first = EventFile::Create(folder.path(), kNow, 0);
  const auto second = EventFile::Create(folder.path(), kNow - absl::Hours(24), 0);
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_LT((*first)->path(), (*second)->path());
}

TEST(EventFileTest, AFullDiskLeavesWholeRecordsAndTheFileGoesOnLater) {
  const TemporaryFolder folder;
  const auto file = EventFile::Create(folder.path(), kNow, 0);
  ASSERT_TRUE((*file)->Append({Scalar(1)}).ok());
  {
    const FullDisk full(std::filesystem::file_size((*file)->path()) + 10);
    const absl::Status status = (*file)->Append({Scalar(2), Scalar(3)});
    EXPECT_THAT(std::string(status.message()), HasSubstr((*file)->path() + "': File too large"));
  }
  ASSERT_TRUE((*file)->Append({Scalar(4)}).ok());
  const std::vector<tensorboard::Event> events = ReadEvents((*file)->path());
  ASSERT_THAT(events, SizeIs(4));
  EXPECT_EQ(events[2].step(), 1);
  EXPECT_EQ(events[3].step(), 4);
}

TEST(EventFileTest, AFileThatCannotBeBegunIsNotLeftBehind) {
  const TemporaryFolder folder;
  const FullDisk full(10);
  EXPECT_FALSE(EventFile::Create(folder.path(), kNow, 0).ok());
  EXPECT_THAT(EventFiles(folder.path()), SizeIs(0));
}

}  // namespace
}  // namespace innerloop::server
