#include "server/jobs/adaptation_run.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/job/adaptation.h"

namespace innerloop::server {
namespace {

// What an exported file may have besides parameters and a user's model: code, the names of tensors,
// the support set's embeddings.
constexpr uint64_t kBesidesParameters = uint64_t{64} << 20;

}  // namespace

AdaptationRun::AdaptationRun(std::shared_ptr<const PinnedCheckpoint> checkpoint,
                             v1::AdaptationTask task, Done done)
    : Lane(absl::Seconds(checkpoint->description.spec().limits().shard_timeout_seconds())),
      checkpoint_(std::move(checkpoint)),
      task_(std::move(task)),
      done_(std::move(done)) {
  task_.set_version(checkpoint_->parameters.version);
  board().Reset(1);
}

std::string AdaptationRun::Name(size_t /*shard*/) const {
  return absl::StrCat("an adaptation of ", checkpoint_->reference);
}

uint64_t AdaptationRun::MostFileBytes() const {
  return 2 * checkpoint_->parameters.encoded->bytes() +
         checkpoint_->description.spec().model().torchscript().bytes() + kBesidesParameters;
}

absl::Status AdaptationRun::CheckPredictions(const v1::Predictions& predictions) const {
  const int64_t size = AnswerSize(checkpoint_->model, task_.support());
  const int64_t queries = task_.has_queries() ? CountOf(task_.queries()) : 0;
  const bool classes = checkpoint_->model.target_size() == 0;
  if (predictions.values_size() != queries * size ||
      predictions.logits_size() != (classes ? queries * size : 0) ||
      (queries > 0 && predictions.size() != size)) {
    return absl::InternalError(
        absl::StrCat("an adaptation's result has ", predictions.values_size(), " values and ",
                     predictions.logits_size(), " logits of size ", predictions.size(), "; ",
                     queries, " queries of size ", size, " were asked for"));
  }
  return absl::OkStatus();
}

absl::Status AdaptationRun::Check(size_t /*shard*/, const v1::ResultBegin& result) const {
  const v1::AdaptationResult& adapted = result.adaptation();
  const bool wanted = task_.format() != v1::ExportRequest::FORMAT_UNSPECIFIED;
  const uint64_t most = MostFileBytes();
  if (adapted.file_bytes() > most) {
    return absl::InternalError(absl::StrCat("an adaptation's file has ", adapted.file_bytes(),
                                            " bytes; at most ", most, " can be"));
  }
  // Padded to whole floats.
  const uint64_t padded = (adapted.file_bytes() + 3) / 4 * 4;
  if (wanted != (adapted.file_bytes() > 0) || result.bytes() != padded) {
    return absl::InternalError(absl::StrCat("an adaptation's result has ", result.bytes(),
                                            " bytes for a file of ", adapted.file_bytes(), "; ",
                                            wanted ? "one" : "none", " was asked for"));
  }
  return CheckPredictions(adapted.predictions());
}

void AdaptationRun::OnResult(size_t /*shard*/, const v1::ResultBegin& result,
                             const std::string& /*fingerprint*/, FlatBuffer buffer) {
  End(Adapted{.result = result.adaptation(), .file = std::move(buffer)});
}

void AdaptationRun::End(absl::StatusOr<Adapted> result) {
  if (const Done done = std::exchange(done_, nullptr); done != nullptr) {
    done(*this, std::move(result));
  }
}

}  // namespace innerloop::server
