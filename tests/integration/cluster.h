// A coordinator and a worker as processes, for tests.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/integration/process.h"
#include "tests/integration/train.h"

namespace innerloop::integration {

// A coordinator with one worker, and the client's commands against it.
class Cluster : public ::testing::Test {
 protected:
  void SetUp() override {
    StartCoordinator("127.0.0.1:0");
    StartWorker();
  }

  void StartCoordinator(const std::string& listen) {
    coordinator_ = std::make_unique<Process>(
        "innerloop-coordinator",
        std::vector<std::string>{"--listen", listen, "--metrics-listen", "127.0.0.1:0",
                                 "--state-dir", state_dir_},
        std::vector<std::string>{}, Output::kPipe);
    const std::string line = coordinator_->AwaitLine("listening on ");
    const size_t begin = line.find("listening on ") + 13;
    address_ = line.substr(begin, line.find_first_of(", ", begin) - begin);
    const size_t metrics = line.find("metrics on ");
    ASSERT_NE(metrics, std::string::npos) << line;
    metrics_ = line.substr(metrics + 11);
  }

  void StartWorker() {
    worker_ = std::make_unique<Process>(
        "innerloop-worker", std::vector<std::string>{"--coordinator", address_, "--slots", "1"},
        std::vector<std::string>{}, Output::kPipe);
    // From here on it takes signals its own way.
    ASSERT_NE(worker_->AwaitLine("metrics on "), "");
  }

  Outcome Client(std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--coordinator", address_});
    return RunToEnd("innerloop", arguments);
  }

  // Submits and returns the job's id.
  std::string Submit(std::vector<std::string> settings) {
    std::vector<std::string> arguments = {"submit", JobPath("sinusoid_maml"), "--format=json"};
    for (const std::string& setting : settings) {
      arguments.insert(arguments.end(), {"--set", setting});
    }
    const Outcome outcome = Client(arguments);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    const nlohmann::json job = nlohmann::json::parse(outcome.out, nullptr, false);
    return job.is_object() ? job.value("job", job.value("id", "")) : "";
  }

  std::string state_dir_ = NewFolder();
  std::string address_;
  std::string metrics_;
  std::unique_ptr<Process> coordinator_;
  std::unique_ptr<Process> worker_;
};

}  // namespace innerloop::integration
