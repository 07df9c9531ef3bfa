// Programs of the project as child processes of a test.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace innerloop::integration {

// How a program ended and what it said.
struct Outcome {
  int exit_code = -1;  // -1: by a signal
  std::string out;
  std::string err;
};

// Where a child's standard output goes: to a file, or into the pipe that its standard error is read
// from.
enum class Output { kFile, kPipe };

// A running child, whose standard error is read line by line. Killed and reaped when destroyed. One
// thread only.
class Process {
 public:
  // `program` is the name of a binary of this build ("innerloop") or a path. `environment` is added
  // to the test's own.
  Process(const std::string& program, const std::vector<std::string>& arguments,
          const std::vector<std::string>& environment = {}, Output output = Output::kFile);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const { return pid_; }
  // Blocks until the next line of the pipe that holds `text`, and returns it; empty when the
  // program closed it first.
  std::string AwaitLine(const std::string& text);
  void Signal(int signal) const;
  // Reads the rest of standard error, waits for the end.
  Outcome Wait();

  // Children of this process whose command line's program is `program`, by pid.
  std::vector<pid_t> Children(const std::string& program) const;

 private:
  bool ReadLine(std::string* line);

  pid_t pid_ = -1;
  int error_pipe_ = -1;
  std::string out_path_;
  std::string buffer_;
  std::string err_;
};

// Runs a program to its end.
Outcome RunToEnd(const std::string& program, const std::vector<std::string>& arguments,
                 const std::vector<std::string>& environment = {});

// A variable for the environment of a program, "NAME=VALUE", by which its processes can be told
// from all others: children hand it on, whatever they are called and wherever they run.
std::string NewMark();

// The processes of the machine, ended ones excepted, that have the variable in their environment.
std::vector<pid_t> ProcessesWith(const std::string& mark);

// A fresh folder that is removed at the end of the program.
std::string NewFolder();

// Path of an example job, or of the job file whose absolute path without its ending this is.
std::string JobPath(const std::string& name);

// The data set "omniglot" as a file, imported once per test program; empty, with `*why` filled in,
// when the archives are not to be had.
std::string OmniglotPath(std::string* why);

// The example data set "machines", which has groups, as a file.
std::string MachinesPath();

}  // namespace innerloop::integration
