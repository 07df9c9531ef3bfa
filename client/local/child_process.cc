#include "client/local/child_process.h"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <fstream>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/support/status_macros.h"

namespace innerloop::client {
namespace {

// After fork only async-signal-safe calls are allowed: the parent has other threads.
[[noreturn]] void BecomeChild(char* const* argv, int log, int output, pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) {
    ::_exit(127);  // the parent died before the line above
  }
  // Ctrl-C in a terminal goes to the foreground process group: it is for the client alone, which
  // then stops its children in their order.
  ::setpgid(0, 0);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  const int null = ::open("/dev/null", O_RDONLY);
  ::dup2(null, STDIN_FILENO);
  ::dup2(output, STDOUT_FILENO);
  ::dup2(log, STDERR_FILENO);
  ::execv(argv[0], argv);
  ::_exit(127);
}

void ReadLines(int fd, int log, const std::function<void(absl::string_view line)>& on_line) {
  std::string pending;
  char buffer[4096];
  while (true) {
    const ssize_t count = ::read(fd, buffer, sizeof(buffer));
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count <= 0) {
      return;
    }
    // The log is for people; a full disk must not stop the child.
    [[maybe_unused]] const ssize_t logged = ::write(log, buffer, static_cast<size_t>(count));
    pending.append(buffer, static_cast<size_t>(count));
    size_t end = 0;
    while ((end = pending.find('\n')) != std::string::npos) {
      on_line(absl::string_view(pending).substr(0, end));
      pending.erase(0, end + 1);
    }
  }
}

}  // namespace

std::string Ending::ToString() const {
  return signalled ? absl::StrCat("was killed by signal ", code, " (", ::strsignal(code), ")")
                   : absl::StrCat("exited with code ", code);
}

absl::Status ChildProcess::Start(const std::vector<std::string>& arguments, int log, int& output) {
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (const std::string& argument : arguments) {
    argv.push_back(const_cast<char*>(argument.c_str()));
  }
  argv.push_back(nullptr);

  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    return absl::ErrnoToStatus(errno, "cannot make a pipe");
  }
  output = ends[0];
  const absl::Cleanup close_writer = [&ends] { ::close(ends[1]); };
  const absl::MutexLock lock(&mu_);
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid == 0) {
    BecomeChild(argv.data(), log, ends[1], parent);
  }
  if (pid < 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot start ", arguments[0]));
  }
  // Here as well as in the child: whichever of the two comes first.
  ::setpgid(pid, pid);
  pid_ = pid;
  if (pending_signal_ != 0) {
    ::kill(-pid_, pending_signal_);
  }
  return absl::OkStatus();
}

Ending ChildProcess::Reap() {
  pid_t pid = -1;
  {
    const absl::MutexLock lock(&mu_);
    pid = pid_;
  }
  siginfo_t info{};
  // Leaves the child a zombie, so that its number cannot be another's while Signal() may use it.
  while (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT) != 0 && errno == EINTR) {
  }
  const absl::MutexLock lock(&mu_);
  ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED);
  pid_ = -1;
  return Ending{.signalled = info.si_code != CLD_EXITED, .code = info.si_status};
}

absl::StatusOr<Ending> ChildProcess::Run(
    const std::vector<std::string>& arguments, const std::string& log_path,
    const std::function<void(absl::string_view line)>& on_line) {
  if (::access(arguments[0].c_str(), X_OK) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot run ", arguments[0]));
  }
  const int log = ::open(log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (log < 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", log_path));
  }
  const absl::Cleanup close_log = [log] { ::close(log); };
  int output = -1;
  const absl::Cleanup close_output = [&output] {
    if (output >= 0) {
      ::close(output);
    }
  };
  INNERLOOP_RETURN_IF_ERROR(Start(arguments, log, output));
  ReadLines(output, log, on_line);
  return Reap();
}

void ChildProcess::Signal(int signal) {
  const absl::MutexLock lock(&mu_);
  if (pid_ > 0) {
    ::kill(-pid_, signal);
  } else {
    pending_signal_ = signal;
  }
}

std::string LastLines(const std::string& path, int lines, std::streamoff from) {
  std::ifstream file(path);
  file.seekg(from);
  std::deque<std::string> last;
  for (std::string line; std::getline(file, line);) {
    if (line.empty()) {
      continue;
    }
    last.push_back(line);
    if (static_cast<int>(last.size()) > lines) {
      last.pop_front();
    }
  }
  return absl::StrJoin(last, " | ");
}

}  // namespace innerloop::client
