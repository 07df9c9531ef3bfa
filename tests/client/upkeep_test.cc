// Commands that look after jobs and coordinators.
#include <algorithm>
#include <filesystem>
#include <sstream>

#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "client/commands/upkeep.h"
#include "client/commands/words.h"
#include "client/render/compare.h"
#include "core/archive/backup.h"
#include "core/job/job_spec.h"
#include "innerloop/v1/upkeep.grpc.pb.h"
#include "tests/client/fake_training.h"
#include "tests/client/test_files.h"

namespace innerloop::client {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

// A coordinator's service for operators: says what it was told to.
class FakeUpkeep final : public v1::Upkeep::Service {
 public:
  FakeUpkeep() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  std::string address() const { return absl::StrCat("127.0.0.1:", port_); }

  grpc::Status GetServerInfo(grpc::ServerContext*, const v1::GetServerInfoRequest*,
                             v1::ServerInfo* response) override {
    response->set_version("9.9.9");
    response->set_api_version(1);
    response->set_role("viewer");
    response->set_disk_bytes(10 << 20);
    response->set_disk_bytes_free(4 << 20);
    response->mutable_started()->set_seconds(1'700'000'000);
    return grpc::Status::OK;
  }
  grpc::Status ReadLog(grpc::ServerContext*, const v1::ReadLogRequest* request,
                       grpc::ServerWriter<v1::LogEntry>* writer) override {
    read.push_back(*request);
    uint64_t sent = 0;
    for (const v1::LogEntry& entry : log) {
      if (entry.sequence() > request->after()) {
        writer->Write(entry);
        if (++sent == break_after) {
          break_after = UINT64_MAX;
          return {grpc::StatusCode::UNAVAILABLE, "restarting"};
        }
      }
    }
    return grpc::Status::OK;
  }
  grpc::Status CollectGarbage(grpc::ServerContext*, const v1::CollectGarbageRequest* request,
                              v1::CollectGarbageResponse* response) override {
    collected = *request;
    auto& item = *response->add_items();
    item.set_kind("job");
    item.set_name("j1");
    item.set_bytes(3 << 20);
    item.set_why("ended 12 days ago");
    response->set_bytes(3 << 20);
    return grpc::Status::OK;
  }
  grpc::Status Backup(grpc::ServerContext*, const v1::BackupRequest*,
                      grpc::ServerWriter<v1::FileChunk>* writer) override {
    v1::FileChunk chunk;
    chunk.set_data(backup.substr(0, backup.size() / 2));
    writer->Write(chunk);
    if (!backup_ends) {
      return {grpc::StatusCode::DATA_LOSS, "a file is damaged"};
    }
    chunk.set_offset(chunk.data().size());
    chunk.set_data(backup.substr(backup.size() / 2));
    writer->Write(chunk);
    return grpc::Status::OK;
  }

  // Set and read while no call is under way.
  std::vector<v1::LogEntry> log;
  uint64_t break_after = UINT64_MAX;
  std::vector<v1::ReadLogRequest> read;
  v1::CollectGarbageRequest collected;
  std::string backup;
  bool backup_ends = true;

 private:
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

class UpkeepCommandsTest : public ::testing::Test {
 protected:
  Outcome Run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"--coordinator", upkeep_.address()});
    return RunProgram(arguments);
  }
  void Say(uint64_t sequence, v1::LogSeverity severity, const std::string& message) {
    v1::LogEntry& entry = upkeep_.log.emplace_back();
    entry.set_sequence(sequence);
    entry.set_severity(severity);
    entry.set_source("worker-1");
    entry.set_message(message);
    entry.mutable_time()->set_seconds(1'700'000'000);
  }

  FakeUpkeep upkeep_;
  TestFolder folder_;
};

TEST_F(UpkeepCommandsTest, LogsAreLinesWithTimeSeverityAndSource) {
  Say(1, v1::LOG_SEVERITY_INFO, "submitted");
  Say(2, v1::LOG_SEVERITY_WARNING, "a shard failed");
  const Outcome all = Run({"logs", "j1"});
  EXPECT_EQ(all.code, 0) << all.err;
  EXPECT_THAT(all.out, AllOf(HasSubstr("info     worker-1: submitted\n"),
                             HasSubstr("warning  worker-1: a shard failed\n")));
  const Outcome severe = Run({"logs", "j1", "--severity", "warning", "--format=json"});
  const json line = json::parse(severe.out);
  EXPECT_EQ(line["severity"], "warning");
  EXPECT_EQ(line["time"], "2023-11-14T22:13:20.000Z");
  EXPECT_FALSE(line.contains("iteration"));
  EXPECT_FALSE(upkeep_.read[0].follow());
}

TEST_F(UpkeepCommandsTest, EntriesOfALogDoNotSteerTheTerminal) {
  Say(1, v1::LOG_SEVERITY_INFO, "\x1b]0;title\x07 of\nwindow");
  EXPECT_THAT(Run({"logs", "j1"}).out, HasSubstr("worker-1: ?]0;title? of window\n"));
}

TEST_F(UpkeepCommandsTest, FollowingALogGoesOnBehindTheLastEntryWhenTheStreamBreaks) {
  Say(1, v1::LOG_SEVERITY_INFO, "one");
  Say(5, v1::LOG_SEVERITY_INFO, "two");
  upkeep_.break_after = 1;
  const Outcome outcome = Run({"logs", "j1", "--follow", "--format=json"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(std::count(outcome.out.begin(), outcome.out.end(), '\n'), 2);
  ASSERT_EQ(upkeep_.read.size(), 2);
  EXPECT_TRUE(upkeep_.read[1].follow());
  EXPECT_EQ(upkeep_.read[1].after(), 1);
}

TEST_F(UpkeepCommandsTest, InfoTellsWhatTheCoordinatorIs) {
  EXPECT_THAT(Run({"info"}).out,
              AllOf(HasSubstr("9.9.9"), HasSubstr("not encrypted"), HasSubstr("viewer")));
  const json info = json::parse(Run({"info", "--format=json"}).out);
  EXPECT_EQ(info["disk_bytes_free"], 4 << 20);
  EXPECT_EQ(info["started"], "2023-11-14T22:13:20Z");
}

TEST_F(UpkeepCommandsTest, GarbageIsAskedForByKindAndShown) {
  const Outcome dry = Run({"gc", "--dry-run", "--jobs-older-than", "30d", "--checkpoints"});
  EXPECT_EQ(dry.code, 0) << dry.err;
  EXPECT_THAT(dry.out, AllOf(HasSubstr("ended 12 days ago"), HasSubstr("would remove")));
  EXPECT_TRUE(upkeep_.collected.dry_run());
  EXPECT_EQ(upkeep_.collected.jobs_older_than_seconds(), 30 * 86'400);
  EXPECT_TRUE(upkeep_.collected.checkpoints());
  EXPECT_FALSE(upkeep_.collected.data_sets());
  const json real = json::parse(Run({"gc", "--data-sets", "--format=json"}).out);
  EXPECT_EQ(real["items"][0]["name"], "j1");
  EXPECT_FALSE(upkeep_.collected.has_jobs_older_than_seconds());

  EXPECT_THAT(Run({"gc"}).err, HasSubstr("--jobs-older-than"));
  EXPECT_THAT(Run({"gc", "--jobs-older-than", "soon"}).err, HasSubstr("'soon' is no time"));
}

TEST_F(UpkeepCommandsTest, ABackupAppearsWhenItIsWholeAndIsRestored) {
  BackupWriter writer([this](absl::string_view piece) {
    absl::StrAppend(&upkeep_.backup, piece);
    return absl::OkStatus();
  });
  const std::string source = folder_.Write("tables", "the tables");
  ASSERT_TRUE(writer.Add("innerloop.db", source).ok());
  ASSERT_TRUE(writer.Finish().ok());
  const std::string file = folder_ / "backup.tar";
  const Outcome backup = Run({"backup", "-o", file});
  EXPECT_EQ(backup.code, 0) << backup.err;
  EXPECT_EQ(ReadFile(file), upkeep_.backup);
  const Outcome restore = RunProgram({"restore", file, "--state-dir", folder_ / "state"});
  EXPECT_EQ(restore.code, 0) << restore.err;
  EXPECT_EQ(ReadFile(folder_ / "state/innerloop.db"), "the tables");
  const Outcome again = RunProgram({"restore", file, "--state-dir", folder_ / "state"});
  EXPECT_NE(again.code, 0);
  EXPECT_THAT(again.err, HasSubstr("in use"));

  // As Ctrl-C has it.
  std::ostringstream nowhere;
  Surroundings surroundings{.out = nowhere, .err = nowhere};
  Session interrupted{.surroundings = surroundings};
  interrupted.cancellation.Cancel(absl::CancelledError("interrupted"));
  EXPECT_EQ(Restore(file, folder_ / "none", interrupted).code(), absl::StatusCode::kCancelled);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "none"));

  upkeep_.backup_ends = false;
  const Outcome broken = Run({"backup", "-o", folder_ / "broken.tar"});
  EXPECT_EQ(broken.code, 2);
  EXPECT_THAT(broken.err, HasSubstr("a file is damaged"));
  for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
    EXPECT_THAT(entry.path().filename().string(), Not(HasSubstr("broken")));
  }
}

// ---- names, labels, notes, comparisons

class WordsCommandsTest : public ::testing::Test {
 protected:
  Outcome Run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"--coordinator", service_.address()});
    return RunProgram(arguments);
  }
  v1::Job AddJob(const std::string& id) {
    v1::Job job;
    job.set_id(id);
    job.set_state(v1::JOB_STATE_SUCCEEDED);
    job.set_iteration(100);
    *job.mutable_spec() = *ResolveJobSpec(*ParseJobSpec(SinusoidJob(), "job"), nullptr);
    service_.AddJob(job);
    return job;
  }

  FakeTraining service_;
  TestFolder folder_;
};

TEST_F(WordsCommandsTest, LabelsAreSetAndTakenAwayAndNotesWritten) {
  AddJob("j1");
  EXPECT_EQ(Run({"label", "j1", "experiment=shots", "try=3"}).code, 0);
  EXPECT_EQ(Run({"label", "j1", "try-", "owner=ada"}).code, 0);
  EXPECT_EQ(Run({"note", "j1", "as before, with more shots"}).code, 0);
  const v1::JobSpec spec = service_.job("j1").spec();
  EXPECT_EQ(LabelsText(spec), "experiment=shots, owner=ada");
  EXPECT_EQ(spec.note(), "as before, with more shots");
  EXPECT_THAT(Run({"show", "j1"}).out, AllOf(HasSubstr("owner=ada"), HasSubstr("more shots")));
  const Outcome unknown = Run({"label", "j1", "missing-"});
  EXPECT_EQ(unknown.code, 2);
  EXPECT_THAT(unknown.err, HasSubstr("there is no label 'missing'"));
  EXPECT_THAT(Run({"label", "j1", "novalue"}).err, HasSubstr("write KEY=VALUE"));
  EXPECT_THAT(Run({"label", "j1", "Bad=1"}).err, HasSubstr("a key is 1 to 63"));
}

TEST_F(WordsCommandsTest, JobsAreListedByLabel) {
  AddJob("j1");
  AddJob("j2");
  EXPECT_EQ(Run({"label", "j1", "experiment=shots"}).code, 0);
  EXPECT_THAT(Run({"list"}).out, AllOf(HasSubstr("j1"), HasSubstr("j2"), HasSubstr("LABELS")));
  EXPECT_THAT(Run({"list", "--label", "experiment=shots"}).out,
              AllOf(HasSubstr("j1"), Not(HasSubstr("j2"))));
  EXPECT_THAT(Run({"list", "--label", "experiment"}).out, HasSubstr("j1"));
  EXPECT_EQ(Run({"list", "--label", "experiment=ways"}).out, "no jobs\n");
}

TEST_F(WordsCommandsTest, AJobIsSubmittedUnderANameWithLabelsAndANote) {
  const std::string job = folder_.Write("waves.textproto", SinusoidJob());
  const Outcome outcome = Run(
      {"submit", job, "--name", "waves", "--label", "a=1", "--label", "b=2", "--note", "to see"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  const v1::JobSpec spec = service_.submitted().at(0).spec();
  EXPECT_EQ(spec.name(), "waves");
  EXPECT_EQ(LabelsText(spec), "a=1, b=2");
  EXPECT_EQ(spec.note(), "to see");
}

TEST_F(WordsCommandsTest, TheSpecificationOfAJobIsAJobFile) {
  const v1::Job job = AddJob("j1");
  for (const std::string format : {"table", "json"}) {
    const Outcome shown = Run({"show", "j1", "--spec", "--format", format});
    const auto parsed = ParseJobSpec(shown.out, "shown");
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(*parsed, job.spec()));
    const std::string file = folder_.Write("clone." + format, shown.out);
    EXPECT_EQ(Run({"submit", file}).code, 0);
    EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(
        service_.submitted().back().spec(), job.spec()));
  }
}

TEST(CompareTest, OnlyFieldsThatDifferAreNamed) {
  v1::Job a;
  a.mutable_spec()->set_seed(1);
  a.mutable_spec()->mutable_model()->mutable_mlp()->add_hidden(40);
  a.mutable_spec()->mutable_algorithm()->mutable_maml()->set_inner_steps(1);
  v1::Job b = a;
  EXPECT_THAT(DifferingFields({a, b}), IsEmpty());
  b.mutable_spec()->set_seed(2);
  b.mutable_spec()->mutable_model()->mutable_mlp()->add_hidden(20);
  (*b.mutable_spec()->mutable_labels())["k"] = "v";
  v1::Job c = a;
  c.mutable_spec()->mutable_model()->mutable_linear();
  const auto differing = DifferingFields({a, b, c});
  ASSERT_EQ(differing.size(), 4);
  EXPECT_THAT(differing.at("seed"), ElementsAre("1", "2", "1"));
  EXPECT_THAT(differing.at("model.mlp.hidden"), ElementsAre("[40]", "[40, 20]", ""));
  EXPECT_THAT(differing.at("model.linear"), ElementsAre("", "", "{}"));
  EXPECT_THAT(differing.at("labels.k"), ElementsAre("", R"("v")", ""));
}

TEST(CompareTest, ParametersAreEqualWhenTheHashesOfTheLastIterationAre) {
  v1::Job a;
  a.set_id("a");
  a.set_iteration(7);
  a.mutable_last_checkpoint()->set_iteration(7);
  a.mutable_last_checkpoint()->set_parameters_sha256("abc");
  v1::Job b = a;
  b.set_id("b");
  EXPECT_EQ(ComparisonJson({a, b})["parameters_equal"], true);
  EXPECT_THAT(ComparisonText({a, b}),
              AllOf(HasSubstr("parameters equal"), HasSubstr("no differences")));
  b.mutable_last_checkpoint()->set_parameters_sha256("abd");
  EXPECT_EQ(ComparisonJson({a, b})["parameters_equal"], false);
  b.mutable_final()->add_steps()->set_loss(0.5);
  EXPECT_THAT(ComparisonText({a, b}),
              AllOf(HasSubstr("parameters not equal"), HasSubstr("0.5000")));
}

TEST(CompareTest, OfJobsBeyondTheirLastCheckpointItIsNotKnownWhetherParametersAreEqual) {
  v1::Job a;
  a.set_id("a");
  a.set_iteration(7);
  a.mutable_last_checkpoint()->set_iteration(7);
  a.mutable_last_checkpoint()->set_parameters_sha256("abc");
  v1::Job b = a;
  b.set_id("b");
  b.set_iteration(8);
  EXPECT_TRUE(ComparisonJson({a, b})["parameters_equal"].is_null());
  EXPECT_THAT(ComparisonText({a, b}),
              HasSubstr("equality of parameters not known: no checkpoint has the last iteration of "
                        "b\n"));
  v1::Job c = a;
  c.mutable_last_checkpoint()->set_parameters_sha256("abd");
  EXPECT_EQ(ComparisonJson({a, b, c})["parameters_equal"], false) << "two that are known differ";
}

TEST_F(WordsCommandsTest, ComparingAsksForTwoJobsAtLeast) {
  AddJob("j1");
  AddJob("j2");
  EXPECT_EQ(Run({"compare", "j1"}).code, 2);
  const json both = json::parse(Run({"compare", "j1", "j2", "--format=json"}).out);
  EXPECT_EQ(both["jobs"].size(), 2);
  EXPECT_TRUE(both["differences"].empty());
  EXPECT_EQ(Run({"compare", "j1", "nosuch"}).code, 2);
}

}  // namespace
}  // namespace innerloop::client
