// How ended jobs go, and how they come back.
#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/storage/sqlite.h"
#include "tests/server/coordinator/cluster.h"

namespace innerloop::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string EndedJob(Cluster& cluster) {
  if (cluster.workers().empty()) {
    cluster.AddWorker(1);
  }
  std::string id = cluster.Submit(SmallJob(3)).id();
  cluster.RunToEnd(id);
  return id;
}

// Its checkpoint, as a job of another id would have it.
void CopyCheckpoint(Cluster& cluster, const std::string& from, const std::string& to) {
  Checkpoint copy = *cluster.checkpoints->Read(from, nullptr);
  copy.metadata.set_job_id(to);
  ASSERT_TRUE(cluster.checkpoints->Write(copy, /*best=*/false, /*keep=*/1).ok());
}

TEST(EndedJobsTest, ADeletionThatFailsLeavesTheJobAsItWas) {
  Cluster cluster;
  const std::string id = EndedJob(cluster);
  const std::string parameters = cluster.ParametersOf(id);
  const auto database = *Database::Open(cluster.folder / "innerloop.db");
  ASSERT_TRUE(database
                  ->Execute("CREATE TRIGGER refuse BEFORE DELETE ON jobs BEGIN "
                            "SELECT RAISE(ABORT, 'not now'); END")
                  .ok());
  EXPECT_THAT(std::string(cluster.coordinator().Delete(id).message()), HasSubstr("not now"));
  EXPECT_EQ(cluster.Get(id).state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(cluster.ParametersOf(id), parameters);
  EXPECT_TRUE(cluster.coordinator().Extend(id, 4).ok()) << "it can be gone on with";
  cluster.RunToEnd(id);

  ASSERT_TRUE(database->Execute("DROP TRIGGER refuse").ok());
  const absl::Status deleted = cluster.coordinator().Delete(id);
  EXPECT_TRUE(deleted.ok()) << deleted;
  EXPECT_THAT(cluster.Jobs(), IsEmpty());
  EXPECT_THAT(cluster.checkpoints->Jobs(), IsEmpty());
  EXPECT_THAT(cluster.checkpoints->JobsSetAside(), IsEmpty());
}

TEST(EndedJobsTest, ADeletionThatAKillCutOffIsFinishedAtTheNextStart) {
  Cluster cluster;
  const std::string id = EndedJob(cluster);
  const std::string other = EndedJob(cluster);
  // Killed here; or after the row went, too.
  ASSERT_TRUE(cluster.checkpoints->SetAside(id).ok());
  cluster.Restart();
  EXPECT_EQ(cluster.coordinator().Get(id).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(cluster.Jobs().size(), 1);
  EXPECT_THAT(cluster.checkpoints->Jobs(), ElementsAre(other));
  EXPECT_THAT(cluster.checkpoints->JobsSetAside(), IsEmpty());
}

TEST(EndedJobsTest, ACheckpointWhoseJobIsNotInTheDatabaseIsAJobAfterTheNextStart) {
  Cluster cluster;
  const std::string id = EndedJob(cluster);
  // Uploaded, and killed before its row was written.
  CopyCheckpoint(cluster, id, "uploaded1");
  cluster.Restart();
  EXPECT_EQ(cluster.Get("uploaded1").state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(cluster.Get("uploaded1").iteration(), 3);
  EXPECT_EQ(cluster.ParametersOf("uploaded1"), cluster.ParametersOf(id));
  cluster.Restart();
  EXPECT_EQ(cluster.Jobs().size(), 2);
  EXPECT_TRUE(cluster.coordinator().Delete("uploaded1").ok());
  EXPECT_THAT(cluster.checkpoints->Jobs(), ElementsAre(id));
}

TEST(EndedJobsTest, WhatIsNotInTheDatabaseAndCannotBeTakenUpStaysWhereItIs) {
  Cluster cluster;
  const std::string id = EndedJob(cluster);
  CopyCheckpoint(cluster, id, "damaged1");
  Damage(cluster.checkpoints->PathOf("damaged1", 3));
  std::filesystem::copy(cluster.folder / ("jobs/" + id), cluster.folder / "jobs/copied1");
  std::filesystem::create_directory(cluster.folder / "jobs/empty1");
  cluster.Restart();
  EXPECT_EQ(cluster.Jobs().size(), 1);
  EXPECT_TRUE(std::filesystem::exists(cluster.checkpoints->PathOf("damaged1", 3)));
  EXPECT_TRUE(std::filesystem::exists(cluster.checkpoints->PathOf("copied1", 3)));
}

TEST(EndedJobsTest, OneThatAnotherIsYetToBeginFromStays) {
  Cluster cluster;
  const std::string source = EndedJob(cluster);
  cluster.Kill(*cluster.workers().front());
  v1::JobSpec spec = SmallJob(5);
  spec.set_init_from(source);
  const std::string id = cluster.Submit(spec).id();
  const absl::Status refused = cluster.coordinator().Delete(source);
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()),
              HasSubstr("job '" + id + "' begins from '" + source + "@3'"));
  cluster.AddWorker(1);
  cluster.RunToEnd(id);
  EXPECT_TRUE(cluster.coordinator().Delete(source).ok());
}

}  // namespace
}  // namespace innerloop::server
