// What garbage collection removes, and what it spares.
#include <filesystem>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "core/support/checksum.h"
#include "tests/server/coordinator/cluster.h"

namespace innerloop::server {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;
using ::testing::UnorderedElementsAre;

class GarbageTest : public ::testing::Test {
 protected:
  std::vector<std::string> Collect(const v1::CollectGarbageRequest& request) {
    const auto response = cluster_.coordinator().CollectGarbage(request);
    EXPECT_TRUE(response.ok()) << response.status();
    std::vector<std::string> items;
    uint64_t bytes = 0;
    for (const v1::CollectGarbageResponse::Item& item : response->items()) {
      items.push_back(absl::StrCat(item.kind(), " ", item.name()));
      bytes += item.bytes();
      EXPECT_FALSE(item.why().empty());
    }
    EXPECT_EQ(bytes, response->bytes());
    return items;
  }
  static v1::CollectGarbageRequest Jobs(absl::Duration age, bool dry_run = false) {
    v1::CollectGarbageRequest request;
    request.set_jobs_older_than_seconds(absl::ToDoubleSeconds(age));
    request.set_dry_run(dry_run);
    return request;
  }
  // Beside those of its own, a job gets checkpoints of these iterations, 4 being the best.
  void AddCheckpoints(const std::string& id, const std::vector<uint64_t>& iterations) {
    for (const uint64_t iteration : iterations) {
      Checkpoint checkpoint = *cluster_.checkpoints->Read(id, nullptr);
      checkpoint.metadata.set_iteration(iteration);
      ASSERT_TRUE(
          cluster_.checkpoints->Write(checkpoint, /*best=*/iteration == 4, /*keep=*/100).ok());
    }
  }
  std::vector<uint64_t> Checkpoints(const std::string& id) {
    std::vector<uint64_t> iterations;
    const absl::StatusOr<std::vector<v1::CheckpointInfo>> infos = cluster_.checkpoints->List(id);
    EXPECT_TRUE(infos.ok()) << infos.status();
    for (const v1::CheckpointInfo& info : *infos) {
      iterations.push_back(info.iteration());
    }
    return iterations;
  }
  // A file of the state folder, last touched so long ago by the cluster's clock.
  std::string PutFile(const std::string& folder, const std::string& content,
                      const std::string& extension, absl::Duration age) {
    const std::string sha256 = Sha256::Hex(content);
    const std::string path = cluster_.folder / (folder + "/" + sha256 + extension);
    WriteFile(path, content);
    const timespec then = absl::ToTimespec(cluster_.clock.Now() - age);
    const timespec times[2] = {then, then};
    EXPECT_EQ(utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
    return sha256;
  }

  Cluster cluster_;
};

TEST_F(GarbageTest, OldJobsGoWithAllTheyHaveAndADryRunOnlySaysSo) {
  cluster_.AddWorker(1);
  const std::string old = cluster_.Submit(SmallJob(3)).id();
  cluster_.RunToEnd(old);
  cluster_.clock.Advance(absl::Hours(24));
  const std::string young = cluster_.Submit(SmallJob(3)).id();
  cluster_.RunToEnd(young);
  const std::string running = cluster_.Submit(SmallJob(100'000)).id();
  cluster_.clock.Advance(absl::Hours(24));

  EXPECT_THAT(Collect(Jobs(absl::Hours(30), /*dry_run=*/true)), ElementsAre("job " + old));
  EXPECT_TRUE(cluster_.coordinator().Get(old).ok());
  EXPECT_THAT(Collect(Jobs(absl::Hours(30))), ElementsAre("job " + old));
  EXPECT_FALSE(cluster_.coordinator().Get(old).ok());
  EXPECT_FALSE(std::filesystem::exists(cluster_.folder / ("jobs/" + old)));
  EXPECT_THAT(Collect(Jobs(absl::Hours(30))), IsEmpty());
  EXPECT_THAT(Collect(Jobs(absl::ZeroDuration())), ElementsAre("job " + young));
  EXPECT_TRUE(cluster_.coordinator().Get(running).ok()) << "a running job is nobody's garbage";
  EXPECT_EQ(cluster_.coordinator().CollectGarbage(Jobs(-absl::Hours(1))).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(GarbageTest, OfEndedJobsTheLastAndTheBestCheckpointStay) {
  cluster_.AddWorker(2);
  const std::string id = cluster_.Submit(SmallJob(10)).id();
  cluster_.RunToEnd(id);
  AddCheckpoints(id, {2, 4, 6});
  v1::JobSpec spec = SmallJob(100'000);
  spec.mutable_checkpoint()->set_every(10);
  const std::string running = cluster_.Submit(spec).id();
  cluster_.RunUntil(running, [](const v1::Job& job) { return job.has_last_checkpoint(); });
  AddCheckpoints(running, {1, 2});
  const std::vector<uint64_t> of_running = Checkpoints(running);

  v1::CollectGarbageRequest request;
  request.set_checkpoints(true);
  EXPECT_THAT(Collect(request), ElementsAre("checkpoint " + id + "@2", "checkpoint " + id + "@6"));
  EXPECT_THAT(Checkpoints(id), ElementsAre(4, 10));
  // The recorder may be writing another one.
  EXPECT_THAT(Checkpoints(running), IsSupersetOf(of_running)) << "a running job needs them";
  EXPECT_THAT(Collect(request), IsEmpty());
}

TEST_F(GarbageTest, WhereAQueuedJobBeginsAndWhatIsEvaluatedStays) {
  cluster_.AddWorker(1);
  const std::string source = cluster_.Submit(SmallJob(10)).id();
  cluster_.RunToEnd(source);
  AddCheckpoints(source, {2, 3, 6, 8});
  cluster_.Kill(*cluster_.workers().front());
  v1::JobSpec spec = SmallJob(5);
  spec.set_init_from(source + "@3");
  const std::string queued = cluster_.Submit(spec).id();
  v1::EvaluateRequest evaluate;
  evaluate.set_checkpoint(source + "@6");
  cluster_.coordinator().Evaluate(evaluate, [](const auto&) {});

  v1::CollectGarbageRequest request = Jobs(absl::ZeroDuration());
  request.set_checkpoints(true);
  EXPECT_THAT(Collect(request),
              UnorderedElementsAre("checkpoint " + source + "@2", "checkpoint " + source + "@8"));
  EXPECT_THAT(Checkpoints(source), ElementsAre(3, 6, 10));
  // The job begins there, also after a restart.
  cluster_.Restart();
  cluster_.AddWorker(1);
  EXPECT_EQ(cluster_.RunToEnd(queued).state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_THAT(Collect(Jobs(absl::ZeroDuration())),
              UnorderedElementsAre("job " + source, "job " + queued));
}

TEST_F(GarbageTest, FilesThatNoJobNeedsGoOnceTheyAreOldEnough) {
  const std::string old = PutFile("models", "old", ".pt", absl::Hours(2));
  const std::string fresh = PutFile("models", "fresh", ".pt", absl::Minutes(30));
  const std::string broken = PutFile("datasets", "broken", ".part", absl::Hours(25));
  const std::string coming = PutFile("datasets", "coming", ".part", absl::Hours(23));
  v1::CollectGarbageRequest request;
  request.set_data_sets(true);
  EXPECT_THAT(Collect(request), UnorderedElementsAre("model " + old, "upload " + broken));
  EXPECT_FALSE(std::filesystem::exists(cluster_.folder / ("models/" + old + ".pt")));
  EXPECT_TRUE(std::filesystem::exists(cluster_.folder / ("models/" + fresh + ".pt")));
  EXPECT_TRUE(std::filesystem::exists(cluster_.folder / ("datasets/" + coming + ".part")));
}

TEST_F(GarbageTest, ADataSetOfAJobStaysAndOneOfAJobThatGoesGoesAlong) {
  const std::string data = PutFile("datasets", "examples", ".safetensors", absl::Hours(2));
  v1::DataSetDescription description;
  description.set_name("digits");
  description.set_sha256(data);
  ASSERT_TRUE(cluster_.state->PutDataSet(description).ok());
  v1::Job job = JobNamed("ended1");
  job.set_state(v1::JOB_STATE_SUCCEEDED);
  job.mutable_ended()->set_seconds(absl::ToUnixSeconds(cluster_.clock.Now() - absl::Hours(5)));
  v1::EpisodeTasks& tasks = *job.mutable_spec()->mutable_tasks()->mutable_episodes();
  tasks.set_dataset("digits");
  tasks.set_dataset_sha256(data);
  ASSERT_TRUE(cluster_.state->InsertJob(job, "").ok());
  cluster_.Restart();

  v1::CollectGarbageRequest request;
  request.set_data_sets(true);
  EXPECT_THAT(Collect(request), IsEmpty());
  request = Jobs(absl::Hours(1));
  request.set_data_sets(true);
  EXPECT_THAT(Collect(request), ElementsAre("job ended1", "data set digits"));
  EXPECT_THAT(*cluster_.state->DataSets(), IsEmpty());
}

TEST_F(GarbageTest, AJobThatCouldNotBeTakenUpIsAsOldAsTheStartThatFailedIt) {
  v1::Job job = JobNamed("stuck1");
  v1::EpisodeTasks& tasks = *job.mutable_spec()->mutable_tasks()->mutable_episodes();
  tasks.set_dataset("digits");
  tasks.set_dataset_sha256(std::string(64, '0'));
  ASSERT_TRUE(cluster_.state->InsertJob(job, "").ok());
  Checkpoint checkpoint = CheckpointOf("stuck1", 5);
  ASSERT_TRUE(cluster_.checkpoints->Write(checkpoint, /*best=*/false, /*keep=*/1).ok());
  cluster_.Restart();
  EXPECT_EQ(cluster_.Get("stuck1").state(), v1::JOB_STATE_FAILED);
  EXPECT_TRUE(cluster_.Get("stuck1").has_ended());
  EXPECT_THAT(Collect(Jobs(absl::Hours(1))), IsEmpty());
  EXPECT_THAT(Checkpoints("stuck1"), ElementsAre(5));
  // A watch does not wait for more of it.
  cluster_.coordinator().AwaitEvents("stuck1", UINT64_MAX, absl::InfiniteDuration());
  cluster_.clock.Advance(absl::Hours(2));
  EXPECT_THAT(Collect(Jobs(absl::Hours(1))), ElementsAre("job stuck1"));
}

TEST_F(GarbageTest, AnEndedJobOfUnknownAgeStays) {
  v1::Job job = JobNamed("ended1");
  job.set_state(v1::JOB_STATE_FAILED);
  ASSERT_TRUE(cluster_.state->InsertJob(job, "").ok());
  cluster_.Restart();
  EXPECT_THAT(Collect(Jobs(absl::ZeroDuration())), IsEmpty());
}

TEST(JobRetentionTest, JobsGoByThemselvesAfterTheirTime) {
  Options options;
  options.job_retention = absl::Hours(10);
  Cluster cluster(options);
  cluster.AddWorker(1);
  const std::string id = cluster.Submit(SmallJob(2)).id();
  cluster.RunToEnd(id);
  cluster.clock.Advance(absl::Hours(9));
  cluster.coordinator().Tick();
  cluster.clock.Advance(absl::Hours(2));
  EXPECT_TRUE(cluster.coordinator().Get(id).ok());
  const std::string other = cluster.Submit(SmallJob(2)).id();
  cluster.coordinator().Tick();
  // It ends behind the collection.
  ASSERT_TRUE(cluster.coordinator().Cancel(other).ok());
  EXPECT_EQ(cluster.coordinator().Get(id).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace innerloop::server
