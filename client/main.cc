// The command line client.
#include <cstdlib>
#include <cstring>
#include <iostream>

#include <sys/ioctl.h>
#include <unistd.h>

#include "client/command_line.h"
#include "client/local/local_cluster.h"
#include "core/rpc/grpc_log.h"

namespace {

innerloop::client::TerminalSize SizeOfTerminal() {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) {
    return {};
  }
  return {.columns = size.ws_col, .rows = size.ws_row};
}

// It knows no control sequences.
bool TerminalIsDumb() {
  const char* terminal = std::getenv("TERM");
  return terminal != nullptr && std::strcmp(terminal, "dumb") == 0;
}

}  // namespace

int main(int argc, char** argv) {
  // Which says nothing at its usual level: errors are one line of ours.
  innerloop::SendGrpcLogToOurs();
  innerloop::client::Surroundings surroundings{
      .out = std::cout,
      .err = std::cerr,
      .err_is_terminal = ::isatty(STDERR_FILENO) == 1 && !TerminalIsDumb(),
      .terminal_size = SizeOfTerminal,
      .program_folder = innerloop::client::OwnProgramFolder()};
  return innerloop::client::RunClient(argc, argv, surroundings);
}
