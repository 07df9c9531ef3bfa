// The command line client.
#include <iostream>

#include <sys/ioctl.h>
#include <unistd.h>

#include "client/command_line.h"
#include "client/local/local_cluster.h"
#include "core/rpc/grpc_log.h"

int main(int argc, char** argv) {
  // Which says nothing at its usual level: errors are one line of ours.
  innerloop::SendGrpcLogToOurs();
  winsize size{};
  const bool known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  innerloop::client::Surroundings surroundings{
      .out = std::cout,
      .err = std::cerr,
      .err_is_terminal = ::isatty(STDERR_FILENO) == 1,
      .columns = known ? size.ws_col : size_t{80},
      .program_folder = innerloop::client::OwnProgramFolder()};
  return innerloop::client::RunClient(argc, argv, surroundings);
}
