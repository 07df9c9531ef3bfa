// What TensorBoard shows of jobs: a folder of event files for each.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "core/support/clock.h"
#include "innerloop/v1/training.pb.h"
#include "server/tensorboard/event_file.h"
#include "server/tensorboard/iteration_means.h"

namespace innerloop::server {

// One job's curves: scalars thinned by IterationWindows, evaluations by split and inner step, the
// specification as text. Steps count the iterations done. Thread-compatible.
class JobBoard {
 public:
  // The folder and its file appear with the first event.
  JobBoard(std::string folder, const Clock& clock) : folder_(std::move(folder)), clock_(clock) {}

  // What it is, and how far it has come. Before anything is added.
  void SetJob(const v1::Job& job);
  // In order, as they were recorded.
  void Add(absl::Span<const v1::IterationRecord> iterations,
           absl::Span<const v1::Evaluation> evaluations);
  // Nothing more comes for now: the window that is open is closed.
  void Finish();
  // What was added since the last call goes to the file. When it cannot be written, that is a
  // warning in the log, and the points are given up.
  void Write();

 private:
  absl::Status WriteEvents(const std::vector<tensorboard::Event>& added);
  void AddMeans(const IterationMeans& means, double wall_time);
  void AddEvaluation(const v1::Evaluation& evaluation, double wall_time);
  tensorboard::Summary& AddSummary(uint64_t step, double wall_time);
  double Now() const;

  const std::string folder_;
  const Clock& clock_;
  std::string spec_text_;
  bool spec_is_new_ = false;
  // Of the job's parameters, when its row was recorded last.
  uint64_t version_ = 0;
  IterationWindows windows_;
  std::vector<tensorboard::Event> events_;
  std::unique_ptr<EventFile> file_;
  // The first step that earlier files do not count for.
  int64_t start_ = 0;
  bool failing_ = false;
};

// The boards of all jobs, in DIR/NAME-ID. One thread only: the recorder's.
class JobBoards {
 public:
  JobBoards(std::string dir, const Clock& clock) : dir_(std::move(dir)), clock_(clock) {}
  ~JobBoards();

  // What was recorded of a job; `job` when its row changed.
  void Record(const std::string& job_id, const v1::Job* job,
              absl::Span<const v1::IterationRecord> iterations,
              absl::Span<const v1::Evaluation> evaluations);

 private:
  // The one that was made for the job under an earlier name, if there is one.
  std::string FolderOf(const v1::Job& job) const;

  const std::string dir_;
  const Clock& clock_;
  std::map<std::string, JobBoard> boards_;
};

}  // namespace innerloop::server
