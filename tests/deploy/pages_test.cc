// What the servers show is what core/metrics defines, and the other way round.
#include <signal.h>

#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "core/metrics/page.h"
#include "tests/deploy/monitored_cluster.h"

namespace innerloop::integration {
namespace {

using metrics::Definition;
using metrics::Type;
using ::testing::Contains;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;

const std::map<std::string, Type> kTypes = {{"gauge", Type::kGauge},
                                            {"counter", Type::kCounter},
                                            {"histogram", Type::kHistogram},
                                            {"summary", Type::kSummary}};

struct Family {
  std::string help;
  std::string type;
  std::vector<std::string> samples;
};

// By name. Samples of a histogram or a summary follow its TYPE line.
std::map<std::string, Family> Parse(const std::string& page) {
  std::map<std::string, Family> families;
  std::istringstream lines(page);
  std::string last;
  for (std::string line; std::getline(lines, line);) {
    const std::vector<std::string> words = absl::StrSplit(line, absl::MaxSplits(' ', 3));
    if (absl::StartsWith(line, "# HELP ")) {
      families[words.at(2)].help = words.size() > 3 ? words[3] : "";
    } else if (absl::StartsWith(line, "# TYPE ")) {
      last = words.at(2);
      families[last].type = words.at(3);
    } else if (!line.empty()) {
      EXPECT_TRUE(absl::StartsWith(line, last)) << line << " stands under " << last;
      families[last].samples.push_back(line);
    }
  }
  return families;
}

void CheckLabels(const Definition& definition, const std::string& sample) {
  static const std::regex kLabel(R"re(([a-z_]+)="((?:[^"\\]|\\.)*)")re");
  std::set<std::string> missing;
  std::map<std::string, metrics::Label> known;
  for (const metrics::Label& label : definition.labels) {
    if (label.name != nullptr) {
      known[label.name] = label;
      missing.insert(label.name);
    }
  }
  for (std::sregex_iterator it(sample.begin(), sample.end(), kLabel); it != std::sregex_iterator();
       ++it) {
    const std::string name = (*it)[1];
    if (name == "le" || name == "quantile") {
      continue;
    }
    ASSERT_EQ(known.count(name), 1) << sample << " has a label that is not defined";
    missing.erase(name);
    if (known[name].values != nullptr) {
      const std::vector<std::string> values = absl::StrSplit(known[name].values, '|');
      EXPECT_THAT(values, Contains(std::string((*it)[2]))) << sample;
    }
  }
  EXPECT_TRUE(missing.empty()) << sample << " lacks a label that is defined: " << *missing.begin();
}

class PagesTest : public MonitoredCluster {
 protected:
  static void Check(const std::string& address, const std::vector<const Definition*>& definitions) {
    std::set<std::string> defined;
    for (const Definition* definition : definitions) {
      defined.insert(definition->name);
    }
    std::map<std::string, Family> families;
    std::set<std::string> shown;
    Await([&] {
      families = Parse(Get(address, "/metrics"));
      shown.clear();
      for (const auto& [name, family] : families) {
        shown.insert(name);
      }
      return shown == defined;
    });
    ASSERT_EQ(shown, defined);
    for (const Definition* definition : definitions) {
      const Family& family = families[definition->name];
      EXPECT_EQ(kTypes.at(family.type), definition->type) << definition->name;
      EXPECT_EQ(family.help, definition->help) << definition->name;
      EXPECT_FALSE(family.samples.empty()) << definition->name;
      for (const std::string& sample : family.samples) {
        CheckLabels(*definition, sample);
      }
    }
  }
};

TEST_F(PagesTest, TheCoordinatorShowsWhatIsDefined) {
  Check(coordinator_page_, metrics::CoordinatorDefinitions());
}

TEST_F(PagesTest, WorkersShowWhatIsDefined) {
  for (const std::string& page : worker_pages_) {
    Check(page, metrics::WorkerDefinitions());
  }
}

TEST_F(PagesTest, WorkersThatLeaveAndThatAreLostAreCounted) {
  const auto shows = [this](const std::string& line) {
    return Await(
        [&] { return absl::StrContains(Get(coordinator_page_, "/metrics"), line + "\n"); });
  };
  EXPECT_TRUE(shows("innerloop_workers_connected_total 2"));
  SignalWorker(0, SIGTERM);
  EXPECT_TRUE(shows("innerloop_workers_gone_total{reason=\"left\"} 1"));
  SignalWorker(1, SIGKILL);
  EXPECT_TRUE(shows("innerloop_workers_gone_total{reason=\"lost\"} 1"));
  EXPECT_TRUE(shows("innerloop_workers{state=\"connected\"} 0"));
  const std::string page = Get(coordinator_page_, "/metrics");
  EXPECT_THAT(page, HasSubstr("innerloop_workers_gone_total{reason=\"silent\"} 0"));
  EXPECT_THAT(page, ContainsRegex("innerloop_job_waiting\\{job=\"[a-z0-9]+\"\\} 1"));
}

}  // namespace
}  // namespace innerloop::integration
