// How the programs log: to standard error, with levels, as lines for people or as JSON for
// machines. Everything logs with spdlog::info("...", ...) and its like.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace innerloop {

struct LogOptions {
  // trace, debug, info, warning, error or off.
  std::string level = "info";
  // "text" or "json": one object {time, level, program, process, message} a line.
  std::string format = "text";
  // The program's name, in every line.
  std::string program;
};

// Call once, first thing in main. INVALID_ARGUMENT lists the known levels or formats.
absl::Status SetUpLogging(const LogOptions& options);

// A warning from where LibTorch's headers are: they bring an fmt of their own, which spdlog's
// cannot stand.
void LogWarning(const std::string& line);

}  // namespace innerloop
