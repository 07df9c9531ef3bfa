// What the storage tests share.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/checkpoint/checkpoint.h"
#include "core/support/file_system.h"
#include "innerloop/v1/training.pb.h"
#include "tests/core/support/temporary_folder.h"

namespace innerloop::server {

inline v1::Job JobNamed(const std::string& id) {
  v1::Job job;
  job.set_id(id);
  job.set_state(v1::JOB_STATE_RUNNING);
  return job;
}

inline v1::IterationRecord Record(uint64_t iteration, double meta_loss = 1) {
  v1::IterationRecord record;
  record.set_iteration(iteration);
  record.set_meta_loss(meta_loss);
  return record;
}

inline std::vector<v1::IterationRecord> Records(uint64_t first, uint64_t last,
                                                double meta_loss = 1) {
  std::vector<v1::IterationRecord> records;
  for (uint64_t i = first; i < last; ++i) {
    records.push_back(Record(i, meta_loss));
  }
  return records;
}

inline std::vector<uint64_t> IterationsOf(const std::vector<v1::IterationRecord>& records) {
  std::vector<uint64_t> iterations;
  for (const v1::IterationRecord& record : records) {
    iterations.push_back(record.iteration());
  }
  return iterations;
}

inline v1::Evaluation PeriodicEvaluation(uint64_t iteration, double loss) {
  v1::Evaluation evaluation;
  evaluation.set_iteration(iteration);
  evaluation.set_periodic(true);
  evaluation.add_steps()->set_loss(loss);
  return evaluation;
}

inline Checkpoint CheckpointOf(const std::string& job_id, uint64_t iteration) {
  v1::ParameterLayout proto;
  v1::TensorSpec* tensor = proto.add_tensors();
  tensor->set_name("weight");
  tensor->add_shape(100);
  Checkpoint checkpoint;
  checkpoint.metadata.set_job_id(job_id);
  checkpoint.metadata.set_iteration(iteration);
  checkpoint.layout = *Layout::Create(proto);
  checkpoint.parameters = FlatBuffer(checkpoint.layout.flat_size());
  checkpoint.parameters.data()[0] = static_cast<float>(iteration);
  return checkpoint;
}

// Flips a bit in the middle of a file.
inline void Damage(const std::string& path) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(0, std::ios::end);
  const auto middle = static_cast<std::streamoff>(file.tellg()) / 2;
  file.seekg(middle);
  const char byte = static_cast<char>(file.get() ^ 1);
  file.seekp(middle);
  file.put(byte);
}

// The machine's files, until the disk is full.
class FailingFileSystem final : public FileSystem {
 public:
  std::atomic<bool> full{false};
  // What happens before a folder is listed. Set while nobody lists one.
  std::function<void()> before_list;

  absl::Status Replace(const std::string& path,
                       absl::Span<const absl::string_view> pieces) const override {
    if (full) {
      return absl::ResourceExhaustedError(
          absl::StrCat("cannot write '", path, "': No space left on device"));
    }
    return Real().Replace(path, pieces);
  }
  absl::StatusOr<std::string> Read(const std::string& path, uint64_t limit) const override {
    return Real().Read(path, limit);
  }
  absl::Status Remove(const std::string& path) const override { return Real().Remove(path); }
  absl::Status Rename(const std::string& from, const std::string& to) const override {
    return Real().Rename(from, to);
  }
  absl::Status MakeFolder(const std::string& path) const override {
    return Real().MakeFolder(path);
  }
  absl::StatusOr<std::vector<std::string>> List(const std::string& path) const override {
    if (before_list) {
      before_list();
    }
    return Real().List(path);
  }
};

}  // namespace innerloop::server
