// When a job's checkpoints are taken, and in which order they are written.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "core/checkpoint/checkpoint.h"
#include "innerloop/v1/job.pb.h"
#include "innerloop/v1/training.pb.h"

namespace innerloop::server {

// A resumed job goes on from its newest checkpoint, and an evaluation of an earlier version would
// then never be done. So a checkpoint waits until the periodic evaluations of earlier versions are
// done; that of its own version is done again after a restart. The parameters that are being
// evaluated are kept, and become the best checkpoint when they are found to be the best: what is
// stored never depends on how long an evaluation took. One write is under way at a time. Used by
// the JobRunner. Thread-compatible.
class CheckpointPlan {
 public:
  explicit CheckpointPlan(v1::CheckpointSchedule schedule) : schedule_(std::move(schedule)) {}

  // The job starts or goes on at this version; `stored`: there is a checkpoint of it.
  void Start(uint64_t version, double seconds, bool stored);
  // The best so far, as Goodness() measures it.
  void SetBest(double goodness) { best_ = goodness; }
  // What was the best by another protocol counts no more.
  void ForgetBest();
  void SetSchedule(v1::CheckpointSchedule schedule) { schedule_ = std::move(schedule); }

  // Whether the schedule wants a checkpoint of this version, reached after so many seconds of
  // training.
  bool Due(uint64_t version, double seconds) const;
  // A checkpoint of this version is on its way to Offer().
  void Taken(uint64_t version, double seconds);
  // To be written; replaces one that still waits.
  void Offer(Checkpoint checkpoint);

  // An evaluation of this version begins; its content follows by Hold().
  void BeginEvaluation(uint64_t version) { evaluating_.insert(version); }
  void Hold(Checkpoint checkpoint);
  // `comparable`: it was made under the protocol that decides which version is the best.
  void EndEvaluation(const v1::Evaluation& evaluation, bool comparable);
  // Whether no evaluation of an earlier version is under way.
  bool IsOldest(uint64_t version) const {
    return !evaluating_.empty() && *evaluating_.begin() == version;
  }
  // The coordinator stops before the evaluations end: the oldest version under evaluation becomes
  // the checkpoint. False when there is none.
  bool GiveUpEvaluations();
  size_t evaluations() const { return evaluating_.size(); }

  // The next to write, if one can be written now; it counts as under way until Written().
  struct Write {
    Checkpoint checkpoint;
    bool best = false;
  };
  std::optional<Write> Next();
  void Written(bool ok);

  // Nothing waits or is under way.
  bool idle() const {
    return !writing_.has_value() && !offered_.has_value() && !best_ready_.has_value();
  }
  // A checkpoint of this version is durable, or taken and on its way.
  bool Has(uint64_t version) const { return taken_ == version; }
  bool Stored(uint64_t version) const { return stored_ == version; }

 private:
  struct Writing {
    uint64_t version = 0;
    std::optional<double> best_before;
    bool best = false;
  };

  v1::CheckpointSchedule schedule_;
  // Of the last one taken, and the last that is durable.
  std::optional<uint64_t> taken_;
  std::optional<uint64_t> stored_;
  uint64_t last_version_ = 0;
  double last_seconds_ = 0;
  std::optional<Checkpoint> offered_;
  std::set<uint64_t> evaluating_;
  std::map<uint64_t, Checkpoint> held_;
  std::optional<double> best_;
  // Before the one in best_ready_ or being written.
  std::optional<double> best_before_;
  std::optional<Checkpoint> best_ready_;
  std::optional<Writing> writing_;
};

}  // namespace innerloop::server
