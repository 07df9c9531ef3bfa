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
#include "absl/strings/str_replace.h"
#include "tests/core/support/temporary_folder.h"
#include "tests/deploy/monitored_cluster.h"

namespace innerloop::integration {
namespace {

using nlohmann::json;

constexpr char kPrometheus[] = "/usr/bin/prometheus";
const std::string kDeploy = INNERLOOP_DEPLOY_DIR;

// What Grafana would fill in.
std::string WithVariables(const std::string& expression) {
  return absl::StrReplaceAll(expression,
                             {{"$__rate_interval", "10s"}, {"$job", ".*"}, {"$name", ".*"}});
}

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
    ASSERT_NE(prometheus_->AwaitLine("Server is ready"), "");
  }

  // The result of an instant query; fails the test when Prometheus refuses it.
  json Query(const std::string& expression) const {
    const json answer =
        json::parse(Get(address_, "/api/v1/query", expression), nullptr, /*exceptions=*/false);
    EXPECT_EQ(answer.value("status", ""), "success") << expression << ": " << answer.dump();
    return answer.is_object() && answer.contains("data") ? answer["data"]["result"] : json::array();
  }
  // Waits for at least one series.
  json AwaitSeries(const std::string& expression) const {
    json result;
    Await([&] {
      result = Query(expression);
      return !result.empty() || HasFailure();
    });
    return result;
  }

  // That each part of an expression has data, whatever the whole has.
  void CheckParts(const std::string& expression) const {
    static const std::regex kSelector(R"re(\b(?:innerloop_\w+|up)(?:\{[^}]*\})?)re");
    for (std::sregex_iterator it(expression.begin(), expression.end(), kSelector);
         it != std::sregex_iterator(); ++it) {
      EXPECT_FALSE(AwaitSeries(it->str()).empty()) << it->str() << " of " << expression;
    }
  }

  std::string address_;
  std::unique_ptr<Process> prometheus_;
};

TEST_F(PanelQueries, EveryPanelAndAlertHasData) {
  const json connected = AwaitSeries("sum(innerloop_workers{state=\"connected\"}) == 2");
  ASSERT_EQ(connected.size(), 1) << "two workers";
  EXPECT_EQ(AwaitSeries("count(up == 1) == 3").size(), 1) << "three targets";

  size_t panels = 0;
  size_t queries = 0;
  size_t all_series = 0;
  for (const auto& file : std::filesystem::directory_iterator(kDeploy + "/grafana/dashboards")) {
    const json board = json::parse(ReadFile(file.path().string()));
    for (const json& variable : board.at("templating").at("list")) {
      if (variable.at("type") != "query") {
        continue;
      }
      const std::string query = WithVariables(variable.at("query").at("query"));
      std::smatch parts;
      ASSERT_TRUE(std::regex_match(query, parts, std::regex(R"(label_values\((.*), (\w+)\))")));
      const json result = AwaitSeries(parts[1]);
      ASSERT_FALSE(result.empty()) << query;
      EXPECT_TRUE(result[0].at("metric").contains(parts[2].str())) << query;
    }
    for (const json& panel : board.at("panels")) {
      panels += panel.at("type") != "row" ? 1 : 0;
      for (const json& target : panel.value("targets", json::array())) {
        const std::string expression = WithVariables(target.at("expr"));
        const json result = AwaitSeries(expression);
        EXPECT_FALSE(result.empty()) << panel.at("title") << ": " << expression;
        if (absl::StrContains(expression, "vector(0)")) {
          CheckParts(expression);
        }
        ++queries;
        all_series += result.size();
        std::cout << board.at("title").get<std::string>() << " / "
                  << panel.at("title").get<std::string>() << ": " << result.size() << " series of "
                  << expression << "\n";
      }
    }
  }
  std::cout << panels << " panels, " << queries << " queries, " << all_series << " series\n";
}

TEST_F(PanelQueries, EveryAlertIsOfSeriesThatThereAre) {
  json groups;
  ASSERT_TRUE(Await([&] {
    groups = json::parse(Get(address_, "/api/v1/rules")).at("data").at("groups");
    bool evaluated = !groups.empty();
    for (const json& group : groups) {
      for (const json& rule : group.at("rules")) {
        evaluated = evaluated && rule.at("health") != "unknown";
      }
    }
    return evaluated;
  }));
  size_t alerts = 0;
  for (const json& group : groups) {
    for (const json& rule : group.at("rules")) {
      EXPECT_EQ(rule.at("health"), "ok") << rule.dump();
      alerts += rule.at("type") == "alerting" ? 1 : 0;
      const std::string expression = rule.at("query");
      const size_t series = Query(expression).size();
      CheckParts(expression);
      std::cout << rule.at("name").get<std::string>() << ": " << series << " series\n";
    }
  }
  EXPECT_GE(alerts, 8);
  // A healthy cluster has no alarms.
  EXPECT_TRUE(Query("ALERTS{alertstate=\"firing\"}").empty());
}

}  // namespace
}  // namespace innerloop::integration
