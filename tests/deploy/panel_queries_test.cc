// Every query of every panel and alert, run by a real Prometheus that scrapes a running cluster.
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <regex>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tests/core/support/temporary_folder.h"
#include "tests/deploy/monitored_cluster.h"

namespace innerloop::integration {
namespace {

using nlohmann::json;

constexpr char kPrometheus[] = "/usr/bin/prometheus";
const std::string kDeploy = INNERLOOP_SOURCE_DIR "/deploy";
const std::string kQueries = INNERLOOP_SOURCE_DIR "/tests/cluster/queries.sh";

class PanelQueries : public MonitoredCluster {
 protected:
  void SetUp() override {
    if (access(kPrometheus, X_OK) != 0) {
      GTEST_SKIP() << "SKIPPED: " << kPrometheus
                   << " is missing; deploy/setup.sh installs it (Debian's package prometheus)";
    }
    MonitoredCluster::SetUp();
    if (!HasFatalFailure()) {
      StartPrometheus();
    }
  }

  // With the shipped configuration, except for where the targets are and how often they are asked.
  void StartPrometheus() {
    std::string config = ReadFile(kDeploy + "/prometheus/prometheus.yml");
    const auto replace = [&config](const std::string& pattern, const std::string& by) {
      const std::string before = config;
      config = std::regex_replace(config, std::regex(pattern), by);
      ASSERT_NE(config, before) << "prometheus.yml holds no " << pattern;
    };
    replace("coordinator:7401", coordinator_page_);
    replace("dns_sd_configs:[^#]*refresh_interval: .*",
            absl::StrCat("static_configs: [{ targets: [\"", absl::StrJoin(worker_pages_, "\", \""),
                         "\"] }]"));
    replace("_interval: 5s", "_interval: 1s");
    replace("- rules/", "- " + kDeploy + "/prometheus/rules/");
    const std::string folder = NewFolder();
    std::ofstream(folder + "/prometheus.yml") << config;
    prometheus_ = std::make_unique<Process>(
        kPrometheus,
        std::vector<std::string>{"--config.file", folder + "/prometheus.yml", "--storage.tsdb.path",
                                 folder + "/data", "--web.listen-address", "127.0.0.1:0"},
        std::vector<std::string>{}, Output::kPipe);
    const std::string line = prometheus_->AwaitLine("msg=\"Listening on\"");
    address_ = line.substr(line.find("address=") + 8);
    ASSERT_TRUE(
        Await([&] { return absl::StrContains(Get(address_, "/-/ready"), "Server is Ready"); }));
  }

  // The result of an instant query; fails the test when Prometheus refuses it.
  json Query(const std::string& expression) const {
    const json answer =
        json::parse(Get(address_, "/api/v1/query", expression), nullptr, /*exceptions=*/false);
    EXPECT_EQ(answer.value("status", ""), "success") << expression << ": " << answer.dump();
    return answer.is_object() && answer.contains("data") ? answer["data"]["result"] : json::array();
  }
  bool AwaitData(const std::string& expression) const {
    return Await([&] { return HasFailure() || !Query(expression).empty(); });
  }

  std::string address_;
  std::unique_ptr<Process> prometheus_;
};

TEST_F(PanelQueries, PanelsAlertsAndVariablesHaveDataAndNothingIsWrong) {
  ASSERT_TRUE(AwaitData("count(up == 1) == 3")) << "a coordinator and two workers";
  ASSERT_TRUE(AwaitData("sum(innerloop_workers{state=\"connected\"}) == 2"));
  ASSERT_TRUE(AwaitData("count(innerloop_job_state{state=\"running\"}) == 2"));

  const Outcome queries = RunToEnd(kQueries, {"http://" + address_});
  std::cout << queries.out;
  EXPECT_EQ(queries.exit_code, 0) << queries.err;

  size_t variables = 0;
  for (const auto& file : std::filesystem::directory_iterator(kDeploy + "/grafana/dashboards")) {
    const json board = json::parse(ReadFile(file.path().string()));
    for (const json& variable : board.at("templating").at("list")) {
      if (variable.at("type") == "query") {
        const std::string query = variable.at("query").at("query");
        std::smatch parts;
        ASSERT_TRUE(std::regex_match(query, parts, std::regex(R"(label_values\((\w+).*, (\w+)\))")))
            << query;
        EXPECT_TRUE(AwaitData(parts[1].str() + "{" + parts[2].str() + "!=\"\"}")) << query;
        ++variables;
      }
    }
  }
  EXPECT_GT(variables, 0);
  EXPECT_TRUE(Query("ALERTS{alertstate=\"firing\"}").empty()) << "a healthy cluster has no alarms";
}

}  // namespace
}  // namespace innerloop::integration
