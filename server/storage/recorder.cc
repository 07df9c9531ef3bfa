#include "server/storage/recorder.h"

#include <algorithm>
#include <deque>
#include <functional>
#include <iterator>
#include <map>
#include <optional>
#include <thread>
#include <utility>

#include <spdlog/spdlog.h>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/support/status_macros.h"

namespace innerloop::server {
namespace {

constexpr absl::Duration kInterval = absl::Seconds(1);
// Beyond so many records of one job that cannot be written, the oldest are given up.
constexpr size_t kMostUnwritten = 1'000'000;
// The same for log entries.
constexpr size_t kMostUnwrittenLog = 1000;

// What is queued for one job, in the order of calls; written history first, then the row.
struct Unwritten {
  std::vector<v1::IterationRecord> iterations;
  std::vector<v1::Evaluation> evaluations;
  std::optional<v1::Job> job;
  std::deque<v1::LogEntry> log;
};

struct QueuedCheckpoint {
  Checkpoint checkpoint;
  bool best = false;
  uint32_t keep = 0;
  Recorder::CheckpointDone done;
  bool forgotten = false;
};

// What is written in one go: everything that was queued up to a checkpoint or a flush, and then the
// checkpoint.
struct Batch {
  uint64_t number = 0;
  std::map<std::string, Unwritten> jobs;
  std::optional<QueuedCheckpoint> checkpoint;
  // What is done once all of it is written.
  std::function<absl::Status()> pause;
  bool closed = false;
};

struct Waiter {
  uint64_t number = 0;
  // Whose errors it is told; those of all jobs without.
  std::optional<std::string> job_id;
  absl::Status error;
  bool done = false;
};

// By job: what could not be written.
using Errors = std::map<std::string, absl::Status>;

absl::Status ErrorOf(const Errors& errors, const std::optional<std::string>& job_id) {
  const auto error = job_id.has_value() ? errors.find(*job_id) : errors.begin();
  return error == errors.end() ? absl::OkStatus() : error->second;
}

// `older` goes before what `newer` holds already.
void PutBefore(Unwritten older, Unwritten& newer) {
  const auto join = [](auto& first, auto& second) {
    first.insert(first.end(), std::make_move_iterator(second.begin()),
                 std::make_move_iterator(second.end()));
    second = std::move(first);
  };
  join(older.iterations, newer.iterations);
  join(older.evaluations, newer.evaluations);
  join(older.log, newer.log);
  if (!newer.job.has_value()) {
    newer.job = std::move(older.job);
  }
}

}  // namespace

struct Recorder::State {
  State(StateStore& state, CheckpointStore& checkpoints, const Clock& clock, JobBoards* boards)
      : state(state), checkpoints(checkpoints), clock(clock), boards(boards) {
    batches.emplace_back();
    if (const absl::StatusOr<uint64_t> last = state.LastLogSequence(); last.ok()) {
      log_sequence = *last;
    }
  }

  StateStore& state;
  CheckpointStore& checkpoints;
  const Clock& clock;
  JobBoards* const boards;

  absl::Mutex mutex;
  // At least one; the last one is open.
  std::deque<Batch> batches ABSL_GUARDED_BY(mutex);
  // The batch that the thread has in hand: its contents do not change meanwhile.
  std::optional<Batch> writing ABSL_GUARDED_BY(mutex);
  std::vector<Waiter*> waiters ABSL_GUARDED_BY(mutex);
  uint64_t log_sequence ABSL_GUARDED_BY(mutex) = 0;
  bool stopping ABSL_GUARDED_BY(mutex) = false;
  std::thread thread;

  Unwritten& OpenFor(const std::string& job_id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    return batches.back().jobs[job_id];
  }
  void CloseBatch() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    batches.back().closed = true;
    const uint64_t next = batches.back().number + 1;
    batches.emplace_back().number = next;
  }
  bool Urgent() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    return stopping || batches.front().closed;
  }

  bool IsWriting(const std::string& job_id) const ABSL_SHARED_LOCKS_REQUIRED(mutex) {
    return writing.has_value() && (writing->jobs.count(job_id) != 0 ||
                                   (writing->checkpoint.has_value() &&
                                    writing->checkpoint->checkpoint.metadata.job_id() == job_id));
  }

  // What of the job is not in the store yet, in order.
  void Visit(const std::string& job_id, const std::function<void(const Unwritten&)>& visit)
      ABSL_LOCKS_EXCLUDED(mutex) {
    const absl::MutexLock lock(&mutex);
    const auto visit_batch = [&](const Batch& batch) {
      if (const auto pending = batch.jobs.find(job_id); pending != batch.jobs.end()) {
        visit(pending->second);
      }
    };
    if (writing.has_value()) {
      visit_batch(*writing);
    }
    for (const Batch& batch : batches) {
      visit_batch(batch);
    }
  }

  void Run();
  absl::Status WriteJob(const std::string& id, const Unwritten& pending);
  void WriteBatch() ABSL_LOCKS_EXCLUDED(mutex);
  void TakeBack(const std::string& id, Unwritten pending) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  // Returns when everything queued before the call, and then `work`, is done.
  absl::Status Await(std::optional<std::string> job_id, std::function<absl::Status()> work)
      ABSL_LOCKS_EXCLUDED(mutex);
};

void Recorder::State::Run() {
  while (true) {
    {
      const absl::MutexLock lock(&mutex);
      mutex.AwaitWithTimeout(absl::Condition(this, &State::Urgent), kInterval);
      if (batches.size() == 1) {
        if (batches.front().jobs.empty()) {
          if (stopping) {
            return;
          }
          continue;
        }
        CloseBatch();
      }
      writing = std::move(batches.front());
      batches.pop_front();
    }
    WriteBatch();
  }
}

absl::Status Recorder::State::WriteJob(const std::string& id, const Unwritten& pending) {
  absl::Status status;
  if (!pending.iterations.empty() || !pending.evaluations.empty()) {
    status = state.AppendHistory(id, pending.iterations, pending.evaluations);
  }
  if (status.ok() && pending.job.has_value()) {
    status = state.UpdateJob(*pending.job);
  }
  if (status.ok() && !pending.log.empty()) {
    status = state.AppendLog(id, std::vector(pending.log.begin(), pending.log.end()));
  }
  // A job that was deleted meanwhile needs nothing of this.
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

void Recorder::State::TakeBack(const std::string& id, Unwritten pending) {
  Unwritten& front = batches.front().jobs[id];
  PutBefore(std::move(pending), front);
  if (front.iterations.size() > kMostUnwritten) {
    const size_t excess = front.iterations.size() - kMostUnwritten;
    spdlog::error("job {}: {} records of its history are given up", id, excess);
    front.iterations.erase(front.iterations.begin(),
                           front.iterations.begin() + static_cast<int64_t>(excess));
  }
  while (front.log.size() > kMostUnwrittenLog) {
    front.log.pop_front();
  }
}

void Recorder::State::WriteBatch() {
  // Only this thread changes `writing`, so that reading it needs no lock.
  Batch* batch = nullptr;
  {
    const absl::MutexLock lock(&mutex);
    batch = &*writing;
  }
  const absl::Duration began = clock.Monotonic();
  Errors failed;
  for (const auto& [id, pending] : batch->jobs) {
    if (absl::Status status = WriteJob(id, pending); !status.ok()) {
      spdlog::error("job {}: its history is not written: {}", id, status.ToString());
      failed.emplace(id, std::move(status));
    } else if (boards != nullptr) {
      boards->Record(id, pending.job.has_value() ? &*pending.job : nullptr, pending.iterations,
                     pending.evaluations);
    }
  }
  std::optional<QueuedCheckpoint>& queued = batch->checkpoint;
  absl::StatusOr<v1::CheckpointInfo> written = absl::CancelledError("the job was deleted");
  if (queued.has_value() && !queued->forgotten) {
    // The last good checkpoint stays the point to resume from as long as the history before this
    // one is not durable.
    const auto broken = failed.find(queued->checkpoint.metadata.job_id());
    if (broken != failed.end()) {
      written = broken->second;
    } else {
      written = checkpoints.Write(queued->checkpoint, queued->best, queued->keep);
    }
  }
  absl::Status paused;
  if (batch->pause && failed.empty()) {
    paused = batch->pause();
  }
  if (const absl::Duration took = clock.Monotonic() - began; took > absl::Seconds(5)) {
    spdlog::warn("writing took {}", absl::FormatDuration(took));
  }

  CheckpointDone done;
  {
    const absl::MutexLock lock(&mutex);
    if (queued.has_value()) {
      done = std::move(queued->done);
    }
    const uint64_t number = batch->number;
    for (const auto& [id, status] : failed) {
      if (!stopping) {
        TakeBack(id, std::move(batch->jobs[id]));
      }
    }
    writing.reset();
    for (Waiter* waiter : waiters) {
      if (waiter->number >= number) {
        waiter->error.Update(ErrorOf(failed, waiter->job_id));
        waiter->done = waiter->number == number;
      }
      if (waiter->done) {
        waiter->error.Update(paused);
      }
    }
    waiters.erase(std::remove_if(waiters.begin(), waiters.end(),
                                 [](const Waiter* waiter) { return waiter->done; }),
                  waiters.end());
  }
  if (done) {
    done(std::move(written));
  }
}

Recorder::Recorder(StateStore& state, CheckpointStore& checkpoints, const Clock& clock,
                   JobBoards* boards)
    : state_(std::make_unique<State>(state, checkpoints, clock, boards)) {
  state_->thread = std::thread([state = state_.get()] { state->Run(); });
}

Recorder::~Recorder() {
  {
    const absl::MutexLock lock(&state_->mutex);
    state_->stopping = true;
  }
  state_->thread.join();
}

void Recorder::AddIteration(const std::string& job_id, v1::IterationRecord record) {
  const absl::MutexLock lock(&state_->mutex);
  state_->OpenFor(job_id).iterations.push_back(std::move(record));
}

void Recorder::AddEvaluation(const std::string& job_id, v1::Evaluation evaluation) {
  const absl::MutexLock lock(&state_->mutex);
  state_->OpenFor(job_id).evaluations.push_back(std::move(evaluation));
}

void Recorder::UpdateJob(v1::Job job) {
  const absl::MutexLock lock(&state_->mutex);
  Unwritten& pending = state_->OpenFor(job.id());
  pending.job = std::move(job);
}

void Recorder::WriteCheckpoint(Checkpoint checkpoint, bool best, uint32_t keep,
                               CheckpointDone done) {
  const absl::MutexLock lock(&state_->mutex);
  state_->batches.back().checkpoint.emplace(
      QueuedCheckpoint{std::move(checkpoint), best, keep, std::move(done)});
  state_->CloseBatch();
}

void Recorder::AddLog(v1::LogEntry entry) {
  const absl::MutexLock lock(&state_->mutex);
  entry.set_sequence(++state_->log_sequence);
  std::deque<v1::LogEntry>& log = state_->OpenFor(entry.job_id()).log;
  log.push_back(std::move(entry));
  if (log.size() > kMostUnwrittenLog) {
    log.pop_front();
  }
}

absl::Status Recorder::State::Await(std::optional<std::string> job_id,
                                    std::function<absl::Status()> work) {
  Waiter waiter;
  waiter.job_id = std::move(job_id);
  const absl::MutexLock lock(&mutex);
  waiter.number = batches.back().number;
  batches.back().pause = std::move(work);
  CloseBatch();
  waiters.push_back(&waiter);
  mutex.Await(absl::Condition(&waiter.done));
  return waiter.error;
}

absl::Status Recorder::Flush() { return state_->Await(std::nullopt, nullptr); }

absl::Status Recorder::Flush(const std::string& job_id) { return state_->Await(job_id, nullptr); }

absl::Status Recorder::Pause(std::function<absl::Status()> work) {
  return state_->Await(std::nullopt, std::move(work));
}

void Recorder::Forget(const std::string& job_id) {
  const absl::MutexLock lock(&state_->mutex);
  for (Batch& batch : state_->batches) {
    batch.jobs.erase(job_id);
    if (batch.checkpoint.has_value() && batch.checkpoint->checkpoint.metadata.job_id() == job_id) {
      batch.checkpoint->forgotten = true;
    }
  }
  // What is being written now must not come after the job's removal.
  const auto not_writing = [state = state_.get(), &job_id]() {
    state->mutex.AssertReaderHeld();
    return !state->IsWriting(job_id);
  };
  state_->mutex.Await(absl::Condition(&not_writing));
  // What could not be written was queued again.
  for (Batch& batch : state_->batches) {
    batch.jobs.erase(job_id);
  }
}

std::vector<v1::IterationRecord> Recorder::Pending(const std::string& job_id, uint64_t from) {
  std::vector<v1::IterationRecord> records;
  state_->Visit(job_id, [&](const Unwritten& pending) {
    std::copy_if(pending.iterations.begin(), pending.iterations.end(), std::back_inserter(records),
                 [from](const auto& record) { return record.iteration() >= from; });
  });
  return records;
}

std::vector<v1::Evaluation> Recorder::PendingEvaluations(const std::string& job_id) {
  std::vector<v1::Evaluation> evaluations;
  state_->Visit(job_id, [&](const Unwritten& pending) {
    evaluations.insert(evaluations.end(), pending.evaluations.begin(), pending.evaluations.end());
  });
  return evaluations;
}

std::vector<v1::LogEntry> Recorder::PendingLog(const std::string& job_id, uint64_t after) {
  std::vector<v1::LogEntry> entries;
  state_->Visit(job_id, [&](const Unwritten& pending) {
    std::copy_if(pending.log.begin(), pending.log.end(), std::back_inserter(entries),
                 [after](const auto& entry) { return entry.sequence() > after; });
  });
  return entries;
}

}  // namespace innerloop::server
