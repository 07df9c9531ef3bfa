#include "worker/model_service.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <memory>
#include <string>
#include <utility>

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <spdlog/spdlog.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/dataset/dataset.h"
#include "core/meta/program.h"
#include "core/support/die_with_parent.h"
#include "core/support/status_macros.h"
#include "worker/model_channel.h"
#include "worker/work_runner.h"

namespace innerloop::worker {
namespace {

constexpr rlim_t kMostFiles = 64;

absl::Status Limit(__rlimit_resource resource, rlim_t most) {
  const rlimit limit{most, most};
  return setrlimit(resource, &limit) == 0
             ? absl::OkStatus()
             : absl::ErrnoToStatus(errno, "cannot limit the model's process");
}

// What a model has no need of: the worker's connections, new privileges, files to write, memory
// without end.
absl::Status GiveUp(uint64_t memory_bytes) {
  close_range(kModelLastDescriptor + 1, ~0U, 0);
  struct stat there {};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || fstat(kModelSocket, &there) != 0) {
    return absl::ErrnoToStatus(errno, "cannot confine the model's process");
  }
  INNERLOOP_RETURN_IF_ERROR(Limit(RLIMIT_CORE, 0));
  INNERLOOP_RETURN_IF_ERROR(Limit(RLIMIT_FSIZE, 0));
  INNERLOOP_RETURN_IF_ERROR(Limit(RLIMIT_NOFILE, kMostFiles));
  return Limit(RLIMIT_DATA, memory_bytes);
}

std::string PathOf(int descriptor) { return absl::StrCat("/proc/self/fd/", descriptor); }

absl::StatusOr<std::unique_ptr<meta::Program>> MakeProgram(v1::JobDescription& job) {
  v1::JobSpec& spec = *job.mutable_spec();
  spec.mutable_model()->mutable_torchscript()->set_file(PathOf(kModelFile));
  std::shared_ptr<const Dataset> data_set;
  struct stat there {};
  if (fstat(kModelDataSet, &there) == 0 && S_ISREG(there.st_mode)) {
    INNERLOOP_ASSIGN_OR_RETURN(data_set, Dataset::Open(PathOf(kModelDataSet)));
  }
  return data_set == nullptr && job.has_data_set()
             ? meta::Program::CreateWithoutData(spec, &job.data_set())
             : meta::Program::Create(spec, std::move(data_set));
}

v1::Report Failed(const absl::Status& status) {
  v1::Report report;
  report.mutable_failed()->set_code(static_cast<int32_t>(status.code()));
  report.mutable_failed()->set_message(std::string(status.message().substr(0, 10'000)));
  return report;
}

absl::Status Serve(ModelChannel& channel) {
  const absl::Time never = absl::InfiniteFuture();
  v1::JobDescription job;
  FlatBuffer parameters;
  int64_t ignored = 0;
  INNERLOOP_RETURN_IF_ERROR(channel.Receive(job, parameters, /*most_floats=*/0, ignored, never));
  auto program = MakeProgram(job);
  if (!program.ok()) {
    return channel.Send(Failed(program.status()), nullptr, -1, never);
  }
  v1::Report opened;
  *opened.mutable_result()->mutable_layout() = (*program)->layout().ToProto();
  INNERLOOP_RETURN_IF_ERROR(
      channel.Send(opened, nullptr, (*program)->EstimatePeakBytes().value_or(-1), never));
  while (true) {
    v1::WorkItem work;
    INNERLOOP_RETURN_IF_ERROR(
        channel.Receive(work, parameters, (*program)->layout().flat_size(), ignored, never));
    WorkOutcome outcome;
    const absl::Status status = Compute(**program, work, &parameters, outcome);
    v1::Report report;
    if (status.ok()) {
      *report.mutable_result() = std::move(outcome.result);
    } else {
      report = Failed(status);
    }
    INNERLOOP_RETURN_IF_ERROR(channel.Send(report, status.ok() ? &outcome.buffer : nullptr,
                                           (*program)->MeasuredPeakBytes(), never));
  }
}

}  // namespace

int ServeModel(const char* memory_bytes) {
  DieWithParent();
  uint64_t bytes = 0;
  if (memory_bytes == nullptr || !absl::SimpleAtoi(memory_bytes, &bytes)) {
    std::cerr << "the model's process is for innerloop-worker to start" << std::endl;
    return 2;
  }
  spdlog::set_pattern("%v");  // the worker adds the rest
  if (const absl::Status status = GiveUp(bytes); !status.ok()) {
    std::cerr << std::string(status.message()) << std::endl;
    return 1;
  }
  meta::PrepareComputeThread();
  ModelChannel channel(kModelSocket, /*output=*/-1, [](absl::string_view) {});
  // It ends when the worker has no more use for it; nothing of it needs an orderly end.
  Serve(channel).IgnoreError();
  std::_Exit(0);
}

}  // namespace innerloop::worker
