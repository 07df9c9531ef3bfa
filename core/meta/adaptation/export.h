// Adapted models as files.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/job/feature_statistics.h"
#include "core/meta/algorithms/own_task.h"
#include "innerloop/v1/adaptation.pb.h"

namespace innerloop::meta {

struct ModelExport {
  const AdaptedTask& adapted;
  Tensor support;  // [n, ...], standardised
  std::vector<int64_t> input_shape;
  // Of features, which the file's model standardises itself; null or empty: none. Borrowed.
  const FeatureStatistics* statistics = nullptr;
  // That predictions were made by.
  v1::Transduction transduction = v1::TRANSDUCTION_UNSPECIFIED;
  // Goes into the file.
  std::map<std::string, std::string> description;
};

// Either form holds the adapted parameters and what else predictions follow from: the support set's
// statistics for each batch norm, a metric method's support embeddings or prototypes, means and
// scales of features. INVALID_ARGUMENT for an unknown format; FAILED_PRECONDITION for a model whose
// predictions no frozen model can make.
absl::StatusOr<std::string> Export(const ModelExport& model, v1::ExportRequest::Format format);

}  // namespace innerloop::meta
