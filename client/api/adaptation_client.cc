#include "client/api/adaptation_client.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/job/adaptation.h"
#include "core/support/status_macros.h"

namespace innerloop::client {
namespace {

// Adapting may have to wait for a worker that is busy.
constexpr absl::Duration kNoDeadline = absl::InfiniteDuration();

// `count` of the examples from `first` on.
v1::Examples Part(const v1::Examples& examples, int64_t first, int64_t count) {
  v1::Examples part;
  *part.mutable_shape() = examples.shape();
  const int64_t one = BytesOf(examples) / CountOf(examples);
  const auto begin = static_cast<size_t>(first * one);
  const auto bytes = static_cast<size_t>(count * one);
  if (examples.has_uint8()) {
    part.set_uint8(examples.uint8().substr(begin, bytes));
  } else {
    part.set_float32(examples.float32().substr(begin, bytes));
  }
  return part;
}

// Callers look answers up by query and number.
absl::Status CheckAnswers(const v1::Predictions& predictions, int64_t queries) {
  return predictions.size() > 0 && predictions.values_size() == queries * predictions.size()
             ? absl::OkStatus()
             : absl::DataLossError(absl::StrCat("the coordinator answered ", queries,
                                                " queries with ", predictions.values_size(),
                                                " numbers, ", predictions.size(), " for each"));
}

}  // namespace

AdaptationClient::AdaptationClient(ClientOptions options, Cancellation& cancellation)
    : connection_(std::move(options), cancellation),
      stub_(v1::Adaptation::NewStub(connection_.channel())) {}

absl::StatusOr<v1::ModelDescription> AdaptationClient::Describe(const std::string& checkpoint) {
  v1::DescribeRequest request;
  request.set_checkpoint(checkpoint);
  return connection_.Call(*stub_, &v1::Adaptation::Stub::Describe, request,
                          Connection::Repeat::kWhileAway, connection_.options().call_deadline);
}

absl::StatusOr<v1::AdaptResponse> AdaptationClient::Adapt(const v1::AdaptRequest& request) {
  INNERLOOP_ASSIGN_OR_RETURN(v1::AdaptResponse response,
                             connection_.Call(*stub_, &v1::Adaptation::Stub::Adapt, request,
                                              Connection::Repeat::kNever, kNoDeadline));
  if (request.has_queries()) {
    INNERLOOP_RETURN_IF_ERROR(CheckAnswers(response.predictions(), CountOf(request.queries())));
  }
  return response;
}

absl::StatusOr<v1::Predictions> AdaptationClient::Predict(const std::string& adaptation,
                                                          const v1::Examples& queries,
                                                          int64_t most) {
  v1::Predictions all;
  const int64_t count = CountOf(queries);
  for (int64_t first = 0; first < count; first += most) {
    v1::PredictRequest request;
    request.set_adaptation(adaptation);
    *request.mutable_queries() = Part(queries, first, std::min(most, count - first));
    INNERLOOP_ASSIGN_OR_RETURN(const v1::PredictResponse response,
                               connection_.Call(*stub_, &v1::Adaptation::Stub::Predict, request,
                                                Connection::Repeat::kNever, kNoDeadline));
    const v1::Predictions& some = response.predictions();
    INNERLOOP_RETURN_IF_ERROR(CheckAnswers(some, CountOf(request.queries())));
    if (first > 0 && some.size() != all.size()) {
      return absl::DataLossError(absl::StrCat("the coordinator answered queries with ", all.size(),
                                              " numbers each, and then with ", some.size()));
    }
    all.MergeFrom(some);
  }
  return all;
}

absl::StatusOr<std::string> AdaptationClient::Export(const std::string& adaptation,
                                                     v1::ExportRequest::Format format) {
  grpc::ClientContext context;
  const Cancellation::Scope scope(connection_.cancellation(), context);
  v1::ExportRequest request;
  request.set_adaptation(adaptation);
  request.set_format(format);
  const auto stream = stub_->Export(&context, request);
  std::string file;
  v1::FileChunk chunk;
  while (stream->Read(&chunk)) {
    if (chunk.offset() != file.size()) {
      context.TryCancel();
      stream->Finish();
      return absl::DataLossError(absl::StrCat("the coordinator sent byte ", chunk.offset(),
                                              " of a file where byte ", file.size(), " was due"));
    }
    file += chunk.data();
  }
  INNERLOOP_RETURN_IF_ERROR(connection_.Convert(stream->Finish()));
  return file;
}

}  // namespace innerloop::client
