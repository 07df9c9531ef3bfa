#include "tests/client/fake_adaptation.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/job/adaptation.h"

namespace innerloop::client {
namespace {

// The first number of example i.
float FirstOf(const v1::Examples& examples, int64_t i) {
  const auto at = static_cast<size_t>(i * BytesOf(examples) / CountOf(examples));
  if (examples.has_uint8()) {
    return static_cast<float>(static_cast<uint8_t>(examples.uint8()[at])) / 255;
  }
  float value = 0;
  std::memcpy(&value, examples.float32().data() + at, sizeof(float));
  return value;
}

}  // namespace

FakeAdaptation::FakeAdaptation(v1::ModelDescription model) : model_(std::move(model)) {
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
  builder.RegisterService(this);
  server_ = builder.BuildAndStart();
}

FakeAdaptation::~FakeAdaptation() { server_->Shutdown(std::chrono::system_clock::now()); }

std::string FakeAdaptation::address() const { return absl::StrCat("127.0.0.1:", port_); }

void FakeAdaptation::Fail(grpc::Status status) {
  const absl::MutexLock lock(&mu_);
  failure_ = std::move(status);
}

void FakeAdaptation::Spoil(std::function<void(v1::Predictions&)> spoil) {
  const absl::MutexLock lock(&mu_);
  spoil_ = std::move(spoil);
}

std::vector<v1::AdaptRequest> FakeAdaptation::adapted() const {
  const absl::MutexLock lock(&mu_);
  return adapted_;
}

std::vector<int64_t> FakeAdaptation::predicted() const {
  const absl::MutexLock lock(&mu_);
  return predicted_;
}

v1::Predictions FakeAdaptation::Answer(const v1::Examples& queries) const {
  const v1::SupportSet& support = adapted_.back().support();
  v1::Predictions predictions;
  const int64_t size = AnswerSize(model_, support);
  predictions.set_size(static_cast<uint32_t>(size));
  for (int64_t q = 0; q < CountOf(queries); ++q) {
    int nearest = 0;
    for (int64_t s = 1; s < CountOf(support.inputs()); ++s) {
      const auto distance = [&](int64_t i) {
        return std::abs(FirstOf(support.inputs(), i) - FirstOf(queries, q));
      };
      nearest = distance(s) < distance(nearest) ? static_cast<int>(s) : nearest;
    }
    for (int j = 0; j < size; ++j) {
      if (model_.target_size() > 0) {
        predictions.add_values(support.targets(nearest * static_cast<int>(size) + j));
      } else {
        const bool likely = support.labels(nearest) == static_cast<uint32_t>(j);
        predictions.add_values(likely ? 0.75F : 0.25F / static_cast<float>(size - 1));
        predictions.add_logits(likely ? 2 : 1);
      }
    }
  }
  if (spoil_) {
    spoil_(predictions);
  }
  return predictions;
}

grpc::Status FakeAdaptation::Describe(Context /*context*/, const v1::DescribeRequest* request,
                                      v1::ModelDescription* response) {
  if (request->checkpoint().substr(0, 2) != "j1") {
    return {grpc::StatusCode::NOT_FOUND, absl::StrCat("unknown job '", request->checkpoint(), "'")};
  }
  *response = model_;
  return grpc::Status::OK;
}

grpc::Status FakeAdaptation::Adapt(Context /*context*/, const v1::AdaptRequest* request,
                                   v1::AdaptResponse* response) {
  const absl::MutexLock lock(&mu_);
  if (!failure_.ok()) {
    return failure_;
  }
  adapted_.push_back(*request);
  response->set_adaptation("handle");
  response->set_iteration(model_.iteration());
  *response->mutable_rule() = request->rule();
  response->add_support_losses(1.5);
  response->add_support_losses(0.25);
  if (request->has_queries()) {
    *response->mutable_predictions() = Answer(request->queries());
  }
  return grpc::Status::OK;
}

grpc::Status FakeAdaptation::Predict(Context /*context*/, const v1::PredictRequest* request,
                                     v1::PredictResponse* response) {
  const absl::MutexLock lock(&mu_);
  predicted_.push_back(CountOf(request->queries()));
  *response->mutable_predictions() = Answer(request->queries());
  return grpc::Status::OK;
}

grpc::Status FakeAdaptation::Export(Context /*context*/, const v1::ExportRequest* request,
                                    grpc::ServerWriter<v1::FileChunk>* writer) {
  v1::FileChunk chunk;
  chunk.set_data(v1::ExportRequest::Format_Name(request->format()));
  writer->Write(chunk);
  chunk.set_offset(chunk.data().size());
  chunk.set_data(" of " + request->adaptation());
  writer->Write(chunk);
  return grpc::Status::OK;
}

}  // namespace innerloop::client
