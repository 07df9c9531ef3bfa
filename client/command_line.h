// The command line: from arguments to one command.
#pragma once

#include "client/session.h"

namespace innerloop::client {

// Runs the program: parses, runs one command, and says on one line of `err` what went wrong.
// Returns the exit code. Called by main and by tests.
int RunClient(int argc, const char* const* argv, Surroundings& surroundings);

}  // namespace innerloop::client
