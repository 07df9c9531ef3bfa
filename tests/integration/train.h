// `innerloop train` and its result, for tests.
#pragma once

#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/integration/process.h"

namespace innerloop::integration {

// Arguments of a quiet training run of an example job in a state folder.
inline std::vector<std::string> TrainArguments(const std::string& job, const std::string& state_dir,
                                               std::vector<std::string> more = {}) {
  std::vector<std::string> arguments = {"train", JobPath(job), "--state-dir", state_dir,
                                        "--format=json"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

// The same without JSON: progress goes to standard error, line by line.
inline std::vector<std::string> PlainTrainArguments(const std::string& job,
                                                    const std::string& state_dir,
                                                    std::vector<std::string> more = {}) {
  std::vector<std::string> arguments = {"train", JobPath(job), "--state-dir", state_dir};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

// The object that a run with --format=json ends with; fails the test when the run failed.
inline nlohmann::json Result(const Outcome& outcome) {
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  const nlohmann::json result = nlohmann::json::parse(outcome.out, nullptr, false);
  EXPECT_TRUE(result.is_object()) << outcome.out;
  return result;
}

inline std::string Sha256Of(const Outcome& outcome) {
  const nlohmann::json result = Result(outcome);
  const std::string sha256 = result.value("parameters_sha256", "");
  EXPECT_EQ(sha256.size(), 64) << outcome.out;
  return sha256;
}

// From the table that a run without JSON ends with.
inline std::string Sha256OfTable(const Outcome& outcome) {
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  const std::string label = "parameters sha256";
  const size_t place = outcome.out.find(label);
  EXPECT_NE(place, std::string::npos) << outcome.out;
  if (place == std::string::npos) {
    return "";
  }
  const size_t begin = outcome.out.find_first_not_of(' ', place + label.size());
  return outcome.out.substr(begin, 64);
}

}  // namespace innerloop::integration
