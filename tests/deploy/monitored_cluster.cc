#include "tests/deploy/monitored_cluster.h"

#include <chrono>
#include <thread>

namespace innerloop::integration {
namespace {

// The address behind `label` in a program's first line.
std::string AddressIn(const std::string& line, const std::string& label) {
  const size_t place = line.find(label);
  EXPECT_NE(place, std::string::npos) << label << " in: " << line;
  if (place == std::string::npos) {
    return "";
  }
  const size_t begin = place + label.size();
  return line.substr(begin, line.find_first_of(", \n", begin) - begin);
}

}  // namespace

void MonitoredCluster::SetUp() {
  coordinator_ = std::make_unique<Process>(
      "innerloop-coordinator",
      std::vector<std::string>{"--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0",
                               "--state-dir", NewFolder(), "--log-level", "error"},
      std::vector<std::string>{}, Output::kPipe);
  const std::string listening = coordinator_->AwaitLine("listening on ");
  coordinator_address_ = AddressIn(listening, "listening on ");
  coordinator_page_ = AddressIn(listening, "metrics on ");
  for (int i = 0; i < 2; ++i) {
    workers_.push_back(std::make_unique<Process>(
        "innerloop-worker",
        std::vector<std::string>{"--coordinator", coordinator_address_, "--slots", "1",
                                 "--cache-dir", NewFolder(), "--log-level", "error"},
        std::vector<std::string>{}, Output::kPipe));
    worker_pages_.push_back(AddressIn(workers_.back()->AwaitLine("metrics on "), "metrics on "));
  }
  AddMachines();
  StartJob("sinusoid_maml", {"evaluation.every=200", "evaluation.periodic.episodes=20"});
  StartJob("applications/machines", {"evaluation.every=20", "evaluation.periodic.episodes=20"});
}

void MonitoredCluster::AddMachines() const {
  const std::string table = NewFolder() + "/machines.csv";
  const std::string data_set = NewFolder() + "/machines.safetensors";
  for (const std::vector<std::string>& command : std::vector<std::vector<std::string>>{
           {"dataset", "example", "machines", "--out", table},
           {"dataset", "import", "csv", table, "--features", "line1-line48", "--target",
            "condition", "--group", "machine", "--out", data_set},
           {"dataset", "add", data_set, "--coordinator", coordinator_address_}}) {
    const Outcome outcome = RunToEnd("innerloop", command);
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  }
}

void MonitoredCluster::StartJob(const std::string& job, std::vector<std::string> settings) const {
  settings.insert(settings.end(), {"iterations=1000000000", "checkpoint.every_seconds=1"});
  std::vector<std::string> arguments = {"submit", JobPath(job), "--coordinator",
                                        coordinator_address_};
  for (const std::string& setting : settings) {
    arguments.insert(arguments.end(), {"--set", setting});
  }
  const Outcome outcome = RunToEnd("innerloop", arguments);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
}

std::string MonitoredCluster::Get(const std::string& address, const std::string& path,
                                  const std::string& query) {
  std::vector<std::string> arguments = {"-sS", "--max-time", "20", "http://" + address + path};
  if (!query.empty()) {
    arguments.insert(arguments.end(), {"--data-urlencode", "query=" + query});
  }
  const Outcome outcome = RunToEnd("/usr/bin/curl", arguments);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  return outcome.out;
}

bool MonitoredCluster::Await(const std::function<bool()>& condition) {
  for (int i = 0; i < 100; ++i) {
    if (condition()) {
      return true;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
  }
  return condition();
}

}  // namespace innerloop::integration
