// A JobRunner as a Lane: what its shards ask of workers, and what comes back.
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/job/job_spec.h"
#include "server/jobs/job_runner.h"

namespace innerloop::server {

void JobRunner::FillItem(size_t shard, v1::WorkItem& item) const {
  if (!initialised()) {
    item.mutable_initialise()->set_max_parameters(environment_.max_parameters);
    return;
  }
  const TaskRange tasks = ShardTasks(spec(), shard);
  v1::Shard& work = *item.mutable_shard();
  work.set_iteration(version());
  work.set_version(version());
  work.set_first_task(tasks.first);
  work.set_last_task(tasks.last);
  work.set_detailed(version() % 16 == 0);
}

uint64_t JobRunner::Tasks(size_t shard) const {
  if (!initialised()) {
    return 0;
  }
  const TaskRange tasks = ShardTasks(spec(), shard);
  return tasks.last - tasks.first;
}

std::string JobRunner::Name(size_t shard) const {
  if (!initialised()) {
    return "the initialisation";
  }
  const TaskRange tasks = ShardTasks(spec(), shard);
  return absl::StrCat("shard ", shard, " of iteration ", version(), " (tasks ", tasks.first, "..",
                      tasks.last - 1, ")");
}

void JobRunner::Describe(size_t shard, v1::LogEntry& entry) const {
  if (!initialised()) {
    return;
  }
  const TaskRange tasks = ShardTasks(spec(), shard);
  entry.set_iteration(version());
  entry.set_first_task(tasks.first);
  entry.set_last_task(tasks.last);
}

absl::Status JobRunner::Check(size_t shard, const v1::ResultBegin& result) const {
  uint64_t bytes = buffer_bytes_;
  if (!initialised()) {
    const absl::StatusOr<Layout> layout =
        Layout::Create(result.layout(), environment_.max_parameters);
    if (!layout.ok()) {
      return layout.status();
    }
    bytes = static_cast<uint64_t>(layout->flat_size()) * sizeof(float);
  } else if (result.metrics().tasks() != Tasks(shard)) {
    return absl::InternalError(absl::StrCat("the result is of ", result.metrics().tasks(),
                                            " tasks; the shard has ", Tasks(shard)));
  }
  if (result.bytes() != bytes || bytes == 0) {
    return absl::InternalError(absl::StrCat("the result has ", result.bytes(),
                                            " bytes; the meta-parameters take ", bytes));
  }
  return absl::OkStatus();
}

void JobRunner::OnResult(size_t shard, const v1::ResultBegin& result,
                         const std::string& fingerprint, FlatBuffer buffer) {
  if (ending_) {
    return;
  }
  if (!initialised()) {
    OnInitialised(result, fingerprint, std::move(buffer));
    return;
  }
  parts_[shard] = result.metrics();
  float_.add.emplace_back(shard, std::move(buffer));
  if (board().complete()) {
    environment_.metrics->OnPhase(Phase::kCompute,
                                  environment_.clock.Monotonic() - iteration_began_);
    float_.step = true;
  }
}

void JobRunner::OnInitialised(const v1::ResultBegin& result, const std::string& fingerprint,
                              FlatBuffer buffer) {
  job_.set_fingerprint(fingerprint);
  Checkpoint start;
  start.layout = *Layout::Create(result.layout(), environment_.max_parameters);
  start.parameters = std::move(buffer);
  if (init_from_.has_value()) {
    const std::string difference = start.layout.Difference(init_from_->layout);
    if (!difference.empty()) {
      Fail(absl::InvalidArgumentError(
          absl::StrCat("init_from is '", spec().init_from(),
                       "', whose parameters differ from the job's: ", difference)));
      return;
    }
    start.parameters = std::move(init_from_->parameters);
    init_from_.reset();
  }
  float_.start = std::move(start);
}

void JobRunner::OnReissued() {
  job_.set_shards_reissued(job_.shards_reissued() + 1);
  environment_.metrics->OnShardReissued();
}

}  // namespace innerloop::server
