#include "worker/model_process.h"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "absl/cleanup/cleanup.h"
#include "absl/memory/memory.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/support/status_macros.h"
#include "core/tensor/parameter_set.h"
#include "worker/model_service.h"

namespace innerloop::worker {
namespace {

// Most of an adapted model's file besides its parameters, in values: 64 MiB.
constexpr int64_t kFileFloats = int64_t{1} << 24;

// The descriptors that a process finds under fixed numbers. Its output is for people.
absl::StatusOr<pid_t> SpawnWith(const std::vector<std::string>& arguments,
                                const std::vector<std::pair<int, int>>& descriptors) {
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (const std::string& argument : arguments) {
    argv.push_back(const_cast<char*>(argument.c_str()));
  }
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  const absl::Cleanup free_actions = [&] { posix_spawn_file_actions_destroy(&actions); };
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  for (const auto& [from, to] : descriptors) {
    posix_spawn_file_actions_adddup2(&actions, from, to);
  }
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  const absl::Cleanup free_attributes = [&] { posix_spawnattr_destroy(&attributes); };
  // A group of its own: Ctrl-C in a terminal is for the worker.
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
  pid_t pid = -1;
  const int error = posix_spawn(&pid, argv[0], &actions, &attributes, argv.data(), environ);
  if (error != 0) {
    return absl::ErrnoToStatus(error, absl::StrCat("cannot start ", arguments[0]));
  }
  return pid;
}

// Above the numbers that the process will find its descriptors under, so that none is overwritten
// before it was passed on.
int MoveUp(int descriptor) { return fcntl(descriptor, F_DUPFD_CLOEXEC, kModelLastDescriptor + 1); }

std::string Ending(int status) {
  return WIFSIGNALED(status) ? absl::StrCat("was killed by signal ", WTERMSIG(status), " (",
                                            strsignal(WTERMSIG(status)), ")")
                             : absl::StrCat("ended with code ", WEXITSTATUS(status));
}

}  // namespace

absl::StatusOr<std::unique_ptr<ModelProcess>> ModelProcess::Start(
    const ModelProcessOptions& options, const ModelProcessJob& job,
    std::function<void(absl::string_view line)> on_line) {
  auto process = absl::WrapUnique(new ModelProcess(options.memory_bytes, job.time_limit));
  INNERLOOP_RETURN_IF_ERROR(process->Spawn(options.program, job, std::move(on_line)));
  const absl::StatusOr<Answer> opened =
      process->Ask(job.description, nullptr, /*most_floats=*/0, process->estimated_peak_bytes_);
  if (absl::IsResourceExhausted(opened.status())) {
    // Not for want of memory for parameters, which would be this worker's affair alone.
    return absl::FailedPreconditionError(opened.status().message());
  }
  INNERLOOP_RETURN_IF_ERROR(opened.status());
  // From a process that is not trusted.
  INNERLOOP_ASSIGN_OR_RETURN(const Layout layout,
                             Layout::Create(opened->result.layout(), job.max_parameters));
  process->layout_ = layout.ToProto();
  process->floats_ = layout.flat_size();
  return process;
}

ModelProcess::~ModelProcess() {
  if (alive()) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
}

absl::Status ModelProcess::Spawn(const std::string& program, const ModelProcessJob& job,
                                 std::function<void(absl::string_view line)> on_line) {
  std::vector<int> opened;
  const absl::Cleanup close_all = [&] {
    for (const int descriptor : opened) {
      close(descriptor);
    }
  };
  const auto pass = [&](int descriptor) { return opened.emplace_back(MoveUp(descriptor)); };
  int sockets[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) {
    return absl::ErrnoToStatus(errno, "cannot make a connection to the model's process");
  }
  opened.push_back(sockets[1]);
  int output[2];
  if (pipe2(output, O_CLOEXEC) != 0) {
    close(sockets[0]);
    return absl::ErrnoToStatus(errno, "cannot make a pipe from the model's process");
  }
  opened.push_back(output[1]);
  channel_ = std::make_unique<ModelChannel>(
      sockets[0], output[0], [this, on_line = std::move(on_line)](absl::string_view line) {
        last_line_ = std::string(line);
        on_line(line);
      });
  const int printing = pass(output[1]);
  std::vector<std::pair<int, int>> descriptors = {{printing, STDOUT_FILENO},
                                                  {printing, STDERR_FILENO},
                                                  {pass(sockets[1]), kModelSocket},
                                                  {pass(job.model), kModelFile}};
  // Under each number there is something of ours: nothing that a library left open is passed on.
  opened.push_back(open("/dev/null", O_RDONLY | O_CLOEXEC));
  descriptors.emplace_back(pass(job.data_set >= 0 ? job.data_set : opened.back()), kModelDataSet);
  INNERLOOP_ASSIGN_OR_RETURN(
      pid_, SpawnWith({program, kModelProcessFlag, absl::StrCat(memory_bytes_)}, descriptors));
  return absl::OkStatus();
}

absl::StatusOr<ModelProcess::Answer> ModelProcess::Ask(const google::protobuf::MessageLite& message,
                                                       const FlatBuffer* parameters,
                                                       int64_t most_floats, int64_t& peak_bytes) {
  const absl::Time deadline = absl::Now() + time_limit_;
  v1::Report report;
  FlatBuffer buffer;
  absl::Status status = channel_->Send(message, parameters, /*peak_bytes=*/0, deadline);
  if (status.ok()) {
    status = channel_->Receive(report, buffer, most_floats, peak_bytes, deadline);
  }
  if (!status.ok()) {
    return Bury(status);
  }
  if (report.has_failed()) {
    const auto code = static_cast<absl::StatusCode>(report.failed().code());
    if (code == absl::StatusCode::kResourceExhausted) {
      return absl::ResourceExhaustedError(absl::StrCat(report.failed().message(),
                                                       " (the model's process may take ",
                                                       memory_bytes_, " bytes: --model-memory)"));
    }
    return absl::Status(code == absl::StatusCode::kOk ? absl::StatusCode::kInternal : code,
                        report.failed().message());
  }
  return Answer{std::move(*report.mutable_result()), std::move(buffer)};
}

absl::Status ModelProcess::Bury(const absl::Status& why) {
  const bool late = absl::IsDeadlineExceeded(why);
  // One that died already keeps its own ending; one that only closed its connection has none yet.
  kill(pid_, SIGKILL);
  channel_->DrainOutput();
  int status = 0;
  pid_t ended = 0;
  while ((ended = waitpid(pid_, &status, 0)) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  if (late) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the model took longer than ", absl::FormatDuration(time_limit_),
                     " (limits.shard_timeout_seconds); its process was ended"));
  }
  if (!absl::IsUnavailable(why)) {
    return why;
  }
  const std::string text =
      absl::StrCat("the process that runs the model ", Ending(status),
                   last_line_.empty() ? "" : absl::StrCat(" after it printed: ", last_line_));
  if (absl::StrContains(last_line_, "bad_alloc")) {
    return absl::ResourceExhaustedError(
        absl::StrCat(text, " (it may take ", memory_bytes_, " bytes: --model-memory)"));
  }
  return absl::InternalError(text);
}

absl::StatusOr<ModelProcess::Answer> ModelProcess::Run(const v1::WorkItem& work,
                                                       const FlatBuffer* parameters) {
  // An adapted model's file has the module's code besides the parameters.
  const int64_t most_floats = work.has_adaptation() ? 2 * floats_ + kFileFloats : floats_;
  return Ask(work, parameters, most_floats, measured_peak_bytes_);
}

}  // namespace innerloop::worker
