// One connection to the coordinator, from hello to its end.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <grpcpp/channel.h>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "core/rpc/batch_stream.h"
#include "innerloop/v1/work.pb.h"
#include "worker/data_set_cache.h"
#include "worker/data_set_fetch.h"
#include "worker/job.h"
#include "worker/metrics.h"
#include "worker/parameter_cache.h"
#include "worker/slot_pool.h"
#include "worker/work_runner.h"
#include "worker/work_stream.h"

namespace innerloop::worker {

// Hears from a session, in gRPC's threads.
class SessionListener {
 public:
  virtual ~SessionListener() = default;
  virtual void OnWelcome(const v1::Welcome& welcome) = 0;
  // The last call.
  virtual void OnClosed(const absl::Status& status) = 0;
};

// What sessions work with; outlives them.
struct SessionContext {
  v1::Hello hello;
  ProgramFactory create_program;
  uint64_t max_parameters = UINT64_MAX;
  absl::flat_hash_set<std::string> allowed_models;
  std::shared_ptr<ParameterMemory> memory;
  DataSetCache& data_sets;
  SlotPool& slots;
  Metrics& metrics;
};

// Follows the coordinator's instructions: keeps the jobs and parameter versions of its stream,
// hands work to the slots and sends their results. Everything it knows goes with the stream; what
// slots still compute then is dropped. Made by Worker, shared with the slots' tasks. Thread-safe;
// what is said to be for reactions is called from the stream, one call at a time.
class Session final : public std::enable_shared_from_this<Session>,
                      private WorkStreamHandler,
                      private BatchHandler {
 public:
  Session(SessionContext& context, std::shared_ptr<grpc::Channel> channel,
          SessionListener& listener);

  // Opens the stream and says hello. AwaitClosed must be called afterwards.
  void Start();
  void Heartbeat();
  // Gives back what has not begun, sends what is being computed when it is done, then closes.
  void Drain() ABSL_LOCKS_EXCLUDED(mu_);
  // It drains, and nothing is left to answer.
  bool drained() ABSL_LOCKS_EXCLUDED(mu_);
  // Ends the stream now.
  void Cancel(const absl::Status& reason) { stream_.Cancel(reason); }
  void AwaitClosed() { closed_.WaitForNotification(); }

 private:
  // A work item that was taken and not answered yet, or whose result waits to be asked for.
  struct Work {
    std::string job_id;
    uint64_t transfer = 0;
    std::shared_ptr<const EncodedBuffer> announced;
  };

  // WorkStreamHandler and BatchHandler: reactions.
  absl::Status OnBatch(grpc::ByteBuffer& batch) override { return ReadBatch(batch, *this); }
  void OnClosed(const absl::Status& status) override;
  absl::Status OnEntry(absl::string_view serialised) override;
  absl::StatusOr<char*> OnFrame(uint64_t transfer, uint64_t offset, uint64_t size) override;
  absl::Status OnFrameDone(uint64_t transfer, uint64_t size, uint32_t crc32c) override;

  // Instructions: reactions.
  absl::Status OnJob(v1::JobDescription& description);
  absl::Status OnParameters(const v1::ParametersBegin& begin);
  absl::Status OnWork(v1::WorkItem& work);
  void OnPull(uint64_t work_id) ABSL_LOCKS_EXCLUDED(mu_);
  void OnDrop(uint64_t work_id);
  void OnReleaseJob(const std::string& job_id);

  // Slots' threads.
  void Run(const v1::WorkItem& work, Job& job, const FlatBuffer* parameters, Slot& slot);
  void SendResult(uint64_t work_id, WorkOutcome& outcome) ABSL_LOCKS_EXCLUDED(mu_);

  // Any thread.
  void Decline(const std::string& job_id, const absl::Status& why) ABSL_LOCKS_EXCLUDED(mu_);
  void Send(const v1::Report& report);
  bool Wanted(uint64_t work_id) ABSL_LOCKS_EXCLUDED(mu_);
  void Forget(uint64_t work_id) ABSL_LOCKS_EXCLUDED(mu_);
  // Takes a work item out to answer it, which must follow; false when it is not wanted any more.
  bool Take(uint64_t work_id) ABSL_LOCKS_EXCLUDED(mu_);
  // Answers of what was taken.
  void Answer(absl::FunctionRef<void(OutgoingQueue&)> fill) ABSL_LOCKS_EXCLUDED(mu_);
  void Fail(uint64_t work_id, const absl::Status& status) ABSL_LOCKS_EXCLUDED(mu_);
  void Return(uint64_t work_id) ABSL_LOCKS_EXCLUDED(mu_);
  // Closes when it drains and nothing is left to answer.
  void CloseIfDrained() ABSL_LOCKS_EXCLUDED(mu_);

  SessionContext& context_;
  SessionListener& listener_;
  const std::shared_ptr<FileSource> source_;

  // Reactions only.
  v1::Instruction instruction_;
  ParameterCache parameters_;
  absl::flat_hash_map<std::string, std::shared_ptr<Job>> jobs_;

  absl::Mutex mu_;
  bool draining_ ABSL_GUARDED_BY(mu_) = false;
  uint64_t last_transfer_ ABSL_GUARDED_BY(mu_) = 0;
  absl::flat_hash_map<uint64_t, Work> works_ ABSL_GUARDED_BY(mu_);
  // Answers on their way into the stream, which is not closed before they are there.
  int answering_ ABSL_GUARDED_BY(mu_) = 0;
  absl::flat_hash_set<std::string> declined_ ABSL_GUARDED_BY(mu_);

  WorkStream stream_;
  absl::Notification closed_;
};

}  // namespace innerloop::worker
