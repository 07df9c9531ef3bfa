#include "tests/integration/killing.h"

#include <signal.h>

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/support/temporary_folder.h"
#include "tests/integration/train.h"

namespace innerloop::integration {
namespace {

constexpr char kCoordinator[] = "innerloop-coordinator";

// Files appear under their names when they are whole.
bool HasCheckpoint(const std::string& folder) {
  std::error_code error;
  for (std::filesystem::recursive_directory_iterator entry(folder + "/jobs", error), end;
       !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name.rfind("checkpoint-", 0) == 0 && entry->path().extension() == ".safetensors") {
      return true;
    }
  }
  return false;
}

}  // namespace

bool AwaitCheckpoint(Process& run, const std::string& folder) {
  // Each tenth of the job tells of its progress.
  do {
    if (run.AwaitLine("meta-loss").empty()) {
      ADD_FAILURE() << "the run ended before it told of its progress and had a checkpoint";
      return false;
    }
  } while (!HasCheckpoint(folder));
  return true;
}

void ExpectWentOn(const std::string& folder) {
  const std::string log = ReadFile(folder + "/logs/coordinator.log");
  const std::string what = "goes on from iteration ";
  const size_t place = log.rfind(what);
  ASSERT_NE(place, std::string::npos) << log;
  EXPECT_THAT(log.substr(place, log.find('\n', place) - place),
              ::testing::MatchesRegex(what + "[1-9][0-9]* after a restart of the coordinator"));
}

std::string Sha256AfterKilling(const std::string& victim, const std::string& job,
                               const std::vector<std::string>& settings) {
  const std::string folder = NewFolder();
  std::vector<std::string> more = settings;
  more.insert(more.end(), {"--workers", "2"});
  Process run("innerloop", PlainTrainArguments(job, folder, more));
  if (!AwaitCheckpoint(run, folder)) {
    return "";
  }
  const std::vector<pid_t> victims = run.Children(victim);
  EXPECT_FALSE(victims.empty());
  if (victims.empty()) {
    return "";
  }
  kill(victims[0], SIGKILL);
  const Outcome outcome = run.Wait();
  EXPECT_THAT(outcome.err, ::testing::HasSubstr("starting it again"));
  if (victim == kCoordinator) {
    ExpectWentOn(folder);
  }
  return Sha256OfTable(outcome);
}

}  // namespace innerloop::integration
