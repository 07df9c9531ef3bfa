#include "client/local/supervised_process.h"

#include <csignal>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"

namespace innerloop::client {

SupervisedProcess::SupervisedProcess(Options options, Events events)
    : options_(std::move(options)),
      events_(std::move(events)),
      budget_(options_.restarts, options_.window),
      thread_([this] { Loop(); }) {}

SupervisedProcess::~SupervisedProcess() {
  Stop(SIGKILL);
  thread_.join();
}

void SupervisedProcess::SetReady() {
  const absl::MutexLock lock(&mu_);
  ready_ = true;
}

void SupervisedProcess::Stop(int signal) {
  const absl::MutexLock lock(&mu_);
  stopping_ = true;
  if (child_ != nullptr) {
    child_->Signal(signal);
  }
}

bool SupervisedProcess::AwaitEnd(absl::Duration patience) {
  const absl::MutexLock lock(&mu_);
  return mu_.AwaitWithTimeout(absl::Condition(&ended_), patience);
}

void SupervisedProcess::Loop() {
  while (true) {
    ChildProcess* child = nullptr;
    {
      const absl::MutexLock lock(&mu_);
      if (stopping_) {
        break;
      }
      child_ = std::make_unique<ChildProcess>();
      child = child_.get();
    }
    std::error_code error;
    const uintmax_t size = std::filesystem::file_size(options_.log_path, error);
    log_from_ = error ? 0 : static_cast<std::streamoff>(size);
    const absl::StatusOr<Ending> ending =
        child->Run(options_.arguments(), options_.log_path, events_.on_line);
    if (!AfterDeath(ending)) {
      break;
    }
  }
  const absl::MutexLock lock(&mu_);
  ended_ = true;
}

bool SupervisedProcess::AfterDeath(const absl::StatusOr<Ending>& ending) {
  bool ready = false;
  {
    const absl::MutexLock lock(&mu_);
    if (stopping_) {
      return false;
    }
    ready = ready_;
  }
  if (!ending.ok()) {
    events_.on_given_up(ending.status());
    return false;
  }
  const std::string what = absl::StrCat("the ", options_.name, " ", ending->ToString());
  // The programs' word for bad usage or bad input, which another start does not mend.
  const bool bad_input = !ending->signalled && ending->code == 2;
  const bool allowed = budget_.Allows(options_.clock->Monotonic());
  if (!ready || bad_input || !allowed) {
    const std::string log = LastLines(options_.log_path, 3, log_from_);
    const std::string often = absl::StrCat(", more than ", options_.restarts, " times within ",
                                           absl::FormatDuration(options_.window));
    // Bad input is explained in the program's own words.
    const std::string why = absl::StrCat(
        what, ready && !bad_input ? often : "", log.empty() ? "" : absl::StrCat(": ", log),
        bad_input ? "" : absl::StrCat(" (log: ", options_.log_path, ")"));
    events_.on_given_up(bad_input ? absl::InvalidArgumentError(why) : absl::InternalError(why));
    return false;
  }
  events_.on_restart(absl::StrCat(what, "; starting it again"));
  const absl::MutexLock lock(&mu_);
  return !mu_.AwaitWithTimeout(absl::Condition(&stopping_), options_.restart_delay);
}

}  // namespace innerloop::client
