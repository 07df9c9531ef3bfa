// For programs that another one starts and that must not outlive it.
#pragma once

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <string>

#include <sys/prctl.h>
#include <unistd.h>

namespace innerloop {

// Has the kernel kill this process when the thread that started it ends, however that happens;
// exits at once if it has ended already. Call first thing in main.
inline void DieWithParent() {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != 1) {
    return;
  }
  // Process 1 adopts orphans; in a container the program that started this one may itself be it.
  std::string name;
  std::getline(std::ifstream("/proc/1/comm"), name);
  if (name != "innerloop") {
    std::_Exit(1);
  }
}

}  // namespace innerloop
