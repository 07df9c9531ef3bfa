#include "tests/integration/process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <list>

#include <gtest/gtest.h>

#include "tests/core/support/temporary_folder.h"

extern char** environ;

namespace innerloop::integration {
namespace {

namespace fs = std::filesystem;

// Arguments of a process, joined by spaces; empty when it is gone.
std::string CommandLine(const std::string& pid) {
  std::string line = ReadFile("/proc/" + pid + "/cmdline");
  for (char& c : line) {
    c = c == '\0' ? ' ' : c;
  }
  return line;
}

bool IsNumber(const std::string& text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
}

}  // namespace

std::string NewFolder() {
  // Removed at exit.
  static std::list<TemporaryFolder> folders;
  return folders.emplace_back().path();
}

Process::Process(const std::string& program, const std::vector<std::string>& arguments,
                 const std::vector<std::string>& environment, Output output) {
  const std::string path = program.find('/') == std::string::npos
                               ? std::string(INNERLOOP_BIN_DIR) + "/" + program
                               : program;
  out_path_ = NewFolder() + "/out";
  int pipe_ends[2];
  if (pipe2(pipe_ends, O_CLOEXEC) != 0) {
    std::abort();
  }
  std::vector<std::string> words = {path};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) {
    argv.push_back(word.data());
  }
  argv.push_back(nullptr);
  std::vector<std::string> variables = environment;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    variables.emplace_back(*variable);
  }
  std::vector<char*> envp;
  for (std::string& variable : variables) {
    envp.push_back(variable.data());
  }
  envp.push_back(nullptr);

  pid_ = fork();
  if (pid_ == 0) {
    const int out = open(out_path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    const int null = open("/dev/null", O_RDONLY);
    dup2(null, STDIN_FILENO);
    dup2(output == Output::kPipe ? pipe_ends[1] : out, STDOUT_FILENO);
    dup2(pipe_ends[1], STDERR_FILENO);
    execve(path.c_str(), argv.data(), envp.data());
    _exit(127);
  }
  close(pipe_ends[1]);
  error_pipe_ = pipe_ends[0];
}

Process::~Process() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  close(error_pipe_);
}

bool Process::ReadLine(std::string* line) {
  for (;;) {
    if (const size_t end = buffer_.find('\n'); end != std::string::npos) {
      *line = buffer_.substr(0, end);
      buffer_.erase(0, end + 1);
      err_ += *line + "\n";
      return true;
    }
    char piece[4096];
    const ssize_t got = read(error_pipe_, piece, sizeof(piece));
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got <= 0) {
      err_ += buffer_;
      buffer_.clear();
      return false;
    }
    buffer_.append(piece, static_cast<size_t>(got));
  }
}

std::string Process::AwaitLine(const std::string& text) {
  std::string line;
  while (ReadLine(&line)) {
    if (line.find(text) != std::string::npos) {
      return line;
    }
  }
  return "";
}

void Process::Signal(int signal) const { kill(pid_, signal); }

Outcome Process::Wait() {
  std::string line;
  while (ReadLine(&line)) {
  }
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, ReadFile(out_path_), err_};
}

std::vector<pid_t> Process::Children(const std::string& program) const {
  std::vector<pid_t> children;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string pid = entry.path().filename().string();
    if (!IsNumber(pid)) {
      continue;
    }
    // The fields after the parenthesised name: state, then the parent's pid.
    const std::string stat = ReadFile("/proc/" + pid + "/stat");
    const size_t name_end = stat.rfind(')');
    if (name_end == std::string::npos || name_end + 4 > stat.size()) {
      continue;
    }
    if (std::atoi(stat.c_str() + name_end + 4) == pid_ &&
        CommandLine(pid).find("/" + program + " ") != std::string::npos) {
      children.push_back(std::atoi(pid.c_str()));
    }
  }
  return children;
}

Outcome RunToEnd(const std::string& program, const std::vector<std::string>& arguments,
                 const std::vector<std::string>& environment) {
  return Process(program, arguments, environment).Wait();
}

std::string NewMark() { return "INNERLOOP_TEST_MARK=" + NewFolder(); }

std::vector<pid_t> ProcessesWith(const std::string& mark) {
  std::vector<pid_t> found;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string pid = entry.path().filename().string();
    // Variables end with a zero; what has ended has none.
    if (IsNumber(pid) &&
        ReadFile("/proc/" + pid + "/environ").find(mark + '\0') != std::string::npos) {
      found.push_back(std::atoi(pid.c_str()));
    }
  }
  return found;
}

std::string JobPath(const std::string& name) {
  return (fs::path(INNERLOOP_JOBS_DIR) / (name + ".textproto")).string();
}

std::string OmniglotPath(std::string* why) {
  static std::string path;
  if (!path.empty()) {
    return path;
  }
  const char* data = std::getenv("INNERLOOP_DATA");
  const std::string folder = data == nullptr ? "" : std::string(data) + "/omniglot";
  const std::string background = folder + "/images_background.zip";
  const std::string evaluation = folder + "/images_evaluation.zip";
  if (data == nullptr || !fs::exists(background) || !fs::exists(evaluation)) {
    *why =
        "Omniglot is not here: put images_background.zip and images_evaluation.zip "
        "(https://github.com/brendenlake/omniglot) into D/omniglot and set INNERLOOP_DATA=D";
    return "";
  }
  const std::string made = NewFolder() + "/omniglot.safetensors";
  const Outcome imported =
      RunToEnd("innerloop", {"dataset", "import", "images", background, evaluation, "--size", "28",
                             "--grayscale", "--invert", "--out", made});
  if (imported.exit_code != 0) {
    *why = "the import failed: " + imported.err;
    return "";
  }
  return path = made;
}

std::string MachinesPath() {
  const std::string folder = NewFolder();
  const std::string table = folder + "/machines.csv";
  const std::string made = folder + "/machines.safetensors";
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"dataset", "example", "machines", "--out", table},
        std::vector<std::string>{"dataset", "import", "csv", table, "--features", "line1-line48",
                                 "--target", "condition", "--group", "machine", "--out", made}}) {
    const Outcome outcome = RunToEnd("innerloop", arguments);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  }
  return made;
}

}  // namespace innerloop::integration
