// Files and folders that the client's tests work on.
#pragma once

#include <string>
#include <vector>

#include "client/session.h"
#include "tests/core/support/temporary_folder.h"

namespace innerloop::client {

// A folder of its own for a test, with what tests put into it.
class TestFolder : public ::innerloop::TemporaryFolder {
 public:
  // Writes a file below it and returns its path.
  std::string Write(const std::string& name, const std::string& text) const;
  // The same, executable.
  std::string WriteProgram(const std::string& name, const std::string& text) const;
};

// A small sinusoid job as textproto.
std::string SinusoidJob();
// A job on the data set that WriteDigits makes.
std::string DigitsJob();
// 40 examples of 2 x 2 pixels in 4 classes of 2 groups.
void WriteDigits(const std::string& path);
// Iteration 7 of the job "j1" with 5 parameters; its spec is the sinusoid job's.
void WriteSmallCheckpoint(const std::string& path);

// What a run of the program gave.
struct Outcome {
  int code = 0;
  std::string out;
  std::string err;
};
// Runs the program in this process, without terminals.
Outcome RunProgram(const std::vector<std::string>& arguments,
                   const std::string& program_folder = "");

}  // namespace innerloop::client
