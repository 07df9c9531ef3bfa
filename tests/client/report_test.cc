#include <cmath>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "client/report/history.h"
#include "client/report/page.h"
#include "client/report/report_data.h"
#include "tests/client/fake_training.h"
#include "tests/client/test_files.h"

namespace innerloop::client {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Le;
using ::testing::Not;
using ::testing::SizeIs;

v1::Job Waves(const std::string& id = "j1", uint64_t seed = 1) {
  v1::Job job;
  job.set_id(id);
  job.set_state(v1::JOB_STATE_SUCCEEDED);
  job.set_iteration(6);
  job.mutable_spec()->set_name(absl::StrCat("waves-seed-", seed));
  job.mutable_spec()->set_seed(seed);
  job.mutable_spec()->set_iterations(6);
  return job;
}

v1::JobEvents Events(const v1::Job& job, uint64_t iterations) {
  v1::JobEvents events;
  *events.mutable_job() = job;
  for (uint64_t i = 0; i < iterations; ++i) {
    v1::IterationRecord& record = *events.add_iterations();
    record.set_iteration(i);
    record.set_meta_loss(static_cast<double>(i));
    record.set_seconds(0.5 * static_cast<double>(i + 1));
    if (i % 4 == 0) {
      record.set_query_loss_before(2);
    }
  }
  v1::Evaluation& evaluation = *events.add_evaluations();
  evaluation.set_iteration(iterations);
  evaluation.set_final(true);
  evaluation.add_steps()->set_loss(0.25);
  return events;
}

Json ReportOfEvents(const v1::JobEvents& events) {
  JobHistory history;
  history.Add(events);
  return ReportOfJob(history);
}

Json CurveOf(const Json& job, const std::string& key) {
  for (const Json& curve : job["curves"]) {
    if (curve["key"] == key) {
      return curve;
    }
  }
  return nullptr;
}

TEST(ReportData, HasACurveOfEachMeasureThatTheJobHas) {
  const Json job = ReportOfEvents(Events(Waves(), 6));
  EXPECT_EQ(job["job"], "j1");
  EXPECT_EQ(CurveOf(job, "meta_loss")["points"].dump(),
            "[[0,0,0.0,0.0,0.0],[1,1,1.0,1.0,1.0],[2,2,2.0,2.0,2.0],[3,3,3.0,3.0,3.0],"
            "[4,4,4.0,4.0,4.0],[5,5,5.0,5.0,5.0]]");
  EXPECT_EQ(CurveOf(job, "query_loss_before")["points"].dump(),
            "[[0,0,2.0,2.0,2.0],[4,4,2.0,2.0,2.0]]");
  EXPECT_EQ(CurveOf(job, "iteration_seconds")["points"][3][2], 0.5);
  EXPECT_TRUE(CurveOf(job, "meta_accuracy").is_null());
  EXPECT_EQ(job["evaluations"][0]["final"], true);
  EXPECT_EQ(job["evaluations"][0]["steps"][0]["loss"], 0.25);
}

TEST(ReportData, ThinsLongHistoriesToBucketsWithMeanMinimumAndMaximum) {
  const Json curve = CurveOf(ReportOfEvents(Events(Waves(), 70'000)), "meta_loss");
  EXPECT_EQ(curve["width"], 64);
  EXPECT_THAT(curve["points"], SizeIs(70'000 / 64 + 1));
  EXPECT_THAT(curve["points"], SizeIs(Le(2000)));
  EXPECT_EQ(curve["points"][1].dump(), "[64,127,95.5,64.0,127.0]");
}

TEST(ReportData, WhatIsNoNumberIsNull) {
  v1::JobEvents events = Events(Waves(), 2);
  events.mutable_iterations(1)->set_meta_loss(std::nan(""));
  EXPECT_EQ(CurveOf(ReportOfEvents(events), "meta_loss")["points"].dump(),
            "[[0,0,0.0,0.0,0.0],[1,1,null,null,null]]");
}

TEST(ReportData, JobsThatDifferInTheirSeedsAloneAreAGroup) {
  v1::Job other = Waves("j3", 1);
  other.mutable_spec()->set_name("other");
  other.mutable_spec()->set_meta_batch(7);
  const Json report =
      ReportOf({ReportOfEvents(Events(Waves("j1", 1), 1)), ReportOfEvents(Events(other, 1)),
                ReportOfEvents(Events(Waves("j2", 2), 1))},
               absl::FromUnixSeconds(1'800'000'000));
  EXPECT_EQ(report["groups"].dump(),
            R"([{"name":"waves","jobs":[0,2]},{"name":"other","jobs":[1]}])");
  EXPECT_EQ(report["made"], "2027-01-15T08:00:00Z");
}

TEST(ReportData, KeepsTheLastEntriesOfTheLog) {
  JobHistory history;
  history.Add(Events(Waves(), 1));
  v1::LogEntry entry;
  entry.set_source("worker-1");
  entry.set_severity(v1::LOG_SEVERITY_WARNING);
  entry.mutable_time()->set_seconds(1'800'000'000);
  entry.mutable_time()->set_nanos(250'000'000);
  for (uint64_t i = 0; i < 2001; ++i) {
    entry.set_iteration(i);
    entry.set_message(absl::StrCat("message ", i));
    history.Add(entry);
  }
  const Json log = ReportOfJob(history)["log"];
  ASSERT_THAT(log, SizeIs(2000));
  EXPECT_EQ(log[0].dump(),
            R"({"time":"2027-01-15T08:00:00.250Z","severity":"WARNING","source":"worker-1",)"
            R"("iteration":1,"message":"message 1"})");
}

TEST(ReportPageTest, NoNameEndsTheScriptThatHoldsIt) {
  v1::Job job = Waves();
  job.mutable_spec()->set_name("</script><script>alert(1)</script><!--\xff");
  const Json report = ReportOf({ReportOfEvents(Events(job, 2))}, absl::UnixEpoch());
  const std::string page = ReportPage(report);
  EXPECT_THAT(page, Not(HasSubstr("alert(1)</script>")));
  EXPECT_THAT(page, HasSubstr(R"(\u003c/script>\u003cscript>alert(1))"));
  EXPECT_THAT(page, Not(HasSubstr("@DATA@")));
  EXPECT_THAT(page, EndsWith("</html>\n"));
}

TEST(ReportPageTest, FetchesNothing) {
  const std::string page = ReportPage(ReportOf({}, absl::UnixEpoch()));
  for (const char* fetching : {"https://", "src=", "@import", "url(", "fetch(", "XMLHttpRequest"}) {
    EXPECT_THAT(page, Not(HasSubstr(fetching)));
  }
  // The one address names what SVG is.
  size_t addresses = 0;
  for (size_t at = page.find("http://"); at != std::string::npos;
       at = page.find("http://", at + 1)) {
    EXPECT_EQ(page.substr(at, 26), "http://www.w3.org/2000/svg");
    ++addresses;
  }
  EXPECT_EQ(addresses, 1);
}

class ReportCommand : public ::testing::Test {
 protected:
  Outcome Run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"--coordinator", service_.address(), "report"});
    return RunProgram(arguments);
  }

  // The coordinator keeps no logs.
  FakeTraining service_;
  TestFolder folder_;
};

TEST_F(ReportCommand, WritesThePage) {
  service_.AddJob(Waves());
  service_.AddWatch({.messages = {Events(Waves(), 6)}});
  const Outcome outcome = Run({"j1", "-o", folder_ / "report.html"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("report.html: 1 job, "));
  EXPECT_THAT(ReadFile(folder_ / "report.html"), HasSubstr("waves-seed-1"));
}

TEST_F(ReportCommand, EndsThoughTheJobGoesOn) {
  v1::Job job = Waves();
  job.set_state(v1::JOB_STATE_RUNNING);
  service_.AddJob(job);
  v1::JobEvents first = Events(job, 6);
  v1::JobEvents second;
  first.mutable_iterations()->DeleteSubrange(3, 3);
  *second.mutable_iterations() = Events(job, 6).iterations();
  service_.AddWatch({.messages = {first, second}, .hold = true});
  const Outcome outcome = Run({"j1", "--format=json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(CurveOf(Json::parse(outcome.out)["jobs"][0], "meta_loss")["points"], SizeIs(6));
}

TEST_F(ReportCommand, ReadsItsOwnDataAgain) {
  service_.AddJob(Waves("j1", 1));
  service_.AddWatch({.messages = {Events(Waves("j1", 1), 6)}});
  const std::string data = folder_.Write("data.json", Run({"j1", "--format=json"}).out);
  service_.AddJob(Waves("j2", 2));
  service_.AddWatch({.messages = {Events(Waves("j2", 2), 6)}});
  const Outcome both = Run({data, "j2", "--format=json"});
  ASSERT_EQ(both.code, 0) << both.err;
  EXPECT_EQ(Json::parse(both.out)["groups"].dump(), R"([{"name":"waves","jobs":[0,1]}])");
  EXPECT_EQ(Run({data, data}).err, "innerloop: job j1 is given twice\n");
}

TEST_F(ReportCommand, NamesTheFieldOfItsDataThatHasAnotherForm) {
  service_.AddJob(Waves());
  service_.AddWatch({.messages = {Events(Waves(), 6)}});
  const Json good = Json::parse(Run({"j1", "--format=json"}).out);
  const auto error = [&](const std::string& place, const Json& value) {
    Json damaged = good;
    damaged[Json::json_pointer("/jobs/0" + place)] = value;
    const std::string file = folder_.Write("damaged.json", damaged.dump());
    const Outcome outcome = Run({file, "--format=json"});
    EXPECT_EQ(outcome.code, 2) << place;
    EXPECT_EQ(outcome.out, "") << place;
    return outcome.err;
  };
  const std::string where = folder_ / "damaged.json" + ": jobs[0]";
  EXPECT_EQ(error("", 7), "innerloop: " + where + " must be an object\n");
  EXPECT_EQ(error("/name", 7), "innerloop: " + where + ".name must be a string\n");
  EXPECT_EQ(error("/job", nullptr), "innerloop: " + where + ".job must be a string\n");
  EXPECT_EQ(error("/spec", Json::array()), "innerloop: " + where + ".spec must be an object\n");
  EXPECT_EQ(error("/log", "none"), "innerloop: " + where + ".log must be an array\n");
  EXPECT_EQ(error("/curves/1", 3), "innerloop: " + where + ".curves[1] must be an object\n");
  EXPECT_EQ(error("/evaluations/0/steps", 3),
            "innerloop: " + where + ".evaluations[0].steps must be an array\n");
}

TEST_F(ReportCommand, OfAJobWithoutHistoryIsOneLineAndCodeTwo) {
  v1::Job job = Waves();
  job.set_iteration(0);
  job.set_state(v1::JOB_STATE_QUEUED);
  service_.AddJob(job);
  const Outcome outcome = Run({"j1", "-o", folder_ / "report.html"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_EQ(outcome.err,
            "innerloop: job j1 has no history to report: it is QUEUED and has done no iteration\n");
  EXPECT_FALSE(std::filesystem::exists(folder_ / "report.html"));
}

TEST_F(ReportCommand, RefusesFilesAndFoldersThatAreSomethingElse) {
  const std::string other = folder_.Write("other.json", R"({"jobs": []})");
  EXPECT_THAT(Run({other}).err, HasSubstr("other.json is no data of a report; `innerloop report "
                                          "--format=json` writes some"));
  EXPECT_EQ(Run({other}).code, 2);
  EXPECT_THAT(Run({folder_ / "none.json"}).err, HasSubstr("none.json"));
  EXPECT_EQ(Run({folder_ / "none.json"}).code, 2);
  EXPECT_THAT(Run({folder_.path()}).err, HasSubstr("is no state folder"));
  EXPECT_EQ(Run({folder_.path()}).code, 2);
}

}  // namespace
}  // namespace innerloop::client
