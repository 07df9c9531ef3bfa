// What every command is given: where it runs and how it shows its results.
#pragma once

#include <functional>
#include <memory>
#include <ostream>
#include <string>

#include "absl/status/status.h"
#include "client/api/cancellation.h"
#include "client/api/training_client.h"
#include "client/render/live_line.h"
#include "client/render/views.h"
#include "core/support/clock.h"

namespace innerloop::client {

// The process's surroundings; main.cc fills in the real ones, tests their own.
struct Surroundings {
  std::ostream& out;
  std::ostream& err;
  bool err_is_terminal = false;
  // Of standard error, when it is asked for.
  std::function<TerminalSize()> terminal_size = [] { return TerminalSize(); };
  // Folder of innerloop-coordinator and innerloop-worker.
  std::string program_folder;
  const Clock* clock = &Clock::Real();
};

// One run of the program. Cancellation is thread-safe, the rest is for one thread.
struct Session {
  Surroundings& surroundings;
  bool json = false;
  // Curves above the progress line, on a terminal.
  bool chart = true;
  ClientOptions client;
  Cancellation cancellation;

  std::ostream& out() const { return surroundings.out; }

  // The result: the object with --format=json, else the text, which ends its own lines.
  void Show(const Json& object, const std::string& text) const {
    out() << (json ? JsonLine(object) : text);
  }

  // Progress goes to standard error, so that standard output holds the result alone. A program that
  // reads JSON has no use for it: then only a terminal gets it.
  LiveLineOptions Live() const {
    const Surroundings& s = surroundings;
    const bool shown = !json || s.err_is_terminal;
    return {shown ? &s.err : nullptr, s.err_is_terminal, s.terminal_size, s.clock};
  }

  TrainingClient Client() { return {client, cancellation}; }
  // For a coordinator that this program started for itself on loopback; with short calls that
  // outlast its restart.
  ClientOptions PatientOptions(std::string coordinator) const {
    ClientOptions patient = client;
    patient.coordinator = std::move(coordinator);
    patient.security = {};
    patient.call_patience = patient.stream_patience;
    return patient;
  }
  TrainingClient PatientClient(std::string coordinator) {
    return {PatientOptions(std::move(coordinator)), cancellation};
  }
};

// 0 done, 1 failed, 2 bad usage or bad input, 3 the coordinator cannot be reached.
int ExitCode(const absl::Status& status);

}  // namespace innerloop::client
