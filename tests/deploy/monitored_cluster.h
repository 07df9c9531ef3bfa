// A small cluster whose pages show everything that is defined.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/integration/process.h"

namespace innerloop::integration {

// A coordinator, two workers, a regression job and a classification job that go on until the end.
class MonitoredCluster : public ::testing::Test {
 protected:
  void SetUp() override;

  // What an HTTP GET of http://`address``path` answers; `query` is sent as such when given.
  static std::string Get(const std::string& address, const std::string& path,
                         const std::string& query = "");
  // Asks again until the answer is yes, for half a minute: what other programs show has no event
  // to wait for. Returns the last answer.
  static bool Await(const std::function<bool()>& condition);

  void SignalWorker(size_t worker, int signal) const { workers_.at(worker)->Signal(signal); }

  // host:port of the pages.
  std::string coordinator_page_;
  std::vector<std::string> worker_pages_;

 private:
  void StartJob(const std::string& job, std::vector<std::string> settings) const;
  // By its two commands, as people make it.
  void AddMachines() const;

  std::string coordinator_address_;
  std::unique_ptr<Process> coordinator_;
  std::vector<std::unique_ptr<Process>> workers_;
};

}  // namespace innerloop::integration
