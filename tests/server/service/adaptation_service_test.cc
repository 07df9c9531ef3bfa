// The Adaptation service over a real coordinator whose worker answers at once.
#include "server/service/adaptation_service.h"

#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "core/rpc/channel_arguments.h"
#include "tests/server/coordinator/cluster.h"

namespace innerloop::server {
namespace {

using ::testing::HasSubstr;

void SetFloats(const std::vector<float>& values, v1::Examples& examples) {
  examples.clear_shape();
  examples.add_shape(1);
  examples.set_float32(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
}

class AdaptationServiceTest : public ::testing::Test {
 protected:
  AdaptationServiceTest() : service_(cluster_.coordinator(), cluster_.clock) {
    grpc::ServerBuilder builder;
    SetServerArguments(builder);
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    stub_ = v1::Adaptation::NewStub(server_->InProcessChannel(ClientArguments()));
    FakeWorker& worker = cluster_.AddWorker();
    id_ = cluster_.Submit(SmallJob(2)).id();
    cluster_.RunToEnd(id_);
    worker.eager = true;
  }
  ~AdaptationServiceTest() override { server_->Shutdown(); }

  v1::AdaptRequest Request() const {
    v1::AdaptRequest request;
    request.set_checkpoint(id_);
    SetFloats({1, 2}, *request.mutable_support()->mutable_inputs());
    request.mutable_support()->add_targets(3);
    request.mutable_support()->add_targets(4);
    return request;
  }
  grpc::Status Adapt(const v1::AdaptRequest& request, v1::AdaptResponse& response) {
    grpc::ClientContext context;
    return stub_->Adapt(&context, request, &response);
  }
  std::string ErrorOf(const v1::AdaptRequest& request) {
    v1::AdaptResponse response;
    const grpc::Status status = Adapt(request, response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << status.error_message();
    return status.error_message();
  }
  std::string Adapted() {
    v1::AdaptResponse response;
    EXPECT_TRUE(Adapt(Request(), response).ok());
    return response.adaptation();
  }
  grpc::Status Predict(const std::string& adaptation, const std::vector<float>& queries,
                       v1::PredictResponse& response) {
    v1::PredictRequest request;
    request.set_adaptation(adaptation);
    SetFloats(queries, *request.mutable_queries());
    grpc::ClientContext context;
    return stub_->Predict(&context, request, &response);
  }
  grpc::Status Export(const std::string& adaptation, v1::ExportRequest::Format format,
                      std::string& file) {
    v1::ExportRequest request;
    request.set_adaptation(adaptation);
    request.set_format(format);
    grpc::ClientContext context;
    const auto stream = stub_->Export(&context, request);
    v1::FileChunk chunk;
    while (stream->Read(&chunk)) {
      EXPECT_EQ(chunk.offset(), file.size());
      file += chunk.data();
    }
    return stream->Finish();
  }

  Cluster cluster_;
  AdaptationService service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::Adaptation::Stub> stub_;
  std::string id_;
};

TEST_F(AdaptationServiceTest, OneCallAdaptsAndPredicts) {
  v1::AdaptRequest request = Request();
  request.mutable_rule()->set_inner_steps(3);
  SetFloats({5, 6, 7}, *request.mutable_queries());
  v1::AdaptResponse response;
  ASSERT_TRUE(Adapt(request, response).ok());
  EXPECT_EQ(response.iteration(), 2);
  EXPECT_EQ(response.support_losses_size(), 4);
  EXPECT_EQ(response.predictions().values_size(), 3);
  EXPECT_EQ(response.rule().inner_steps(), 3);
  EXPECT_EQ(response.expires().seconds(),
            absl::ToUnixSeconds(cluster_.clock.Now() + absl::Hours(1)));
}

TEST_F(AdaptationServiceTest, AnEmptyRuleIsTheFinalEvaluationsButLooksAtNoOtherQuery) {
  v1::AdaptResponse response;
  ASSERT_TRUE(Adapt(Request(), response).ok());
  const v1::EvaluationProtocol final = cluster_.Get(id_).spec().evaluation().final();
  EXPECT_EQ(response.rule().inner_steps(), final.inner_steps());
  EXPECT_EQ(response.rule().line_search(), final.line_search());
  EXPECT_EQ(response.rule().transduction(), v1::TRANSDUCTION_SUPPORT_STATISTICS);
}

TEST_F(AdaptationServiceTest, AnAdaptationPredictsAgainAlsoOnAWorkerThatDidNotMakeIt) {
  const std::string adaptation = Adapted();
  cluster_.Kill(*cluster_.workers()[0]);
  cluster_.AddWorker().eager = true;
  v1::PredictResponse response;
  const grpc::Status status = Predict(adaptation, {5, 6}, response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.predictions().values_size(), 2);
}

TEST_F(AdaptationServiceTest, AnAdaptationThatExpiredOrNeverWasIsNotFound) {
  const std::string adaptation = Adapted();
  cluster_.clock.Advance(absl::Minutes(61));
  for (const std::string& handle : {adaptation, std::string("no such")}) {
    v1::PredictResponse response;
    const grpc::Status predicted = Predict(handle, {1}, response);
    EXPECT_EQ(predicted.error_code(), grpc::StatusCode::NOT_FOUND);
    EXPECT_THAT(predicted.error_message(), HasSubstr("adapt again"));
    std::string file;
    EXPECT_EQ(Export(handle, v1::ExportRequest::FORMAT_SAFETENSORS, file).error_code(),
              grpc::StatusCode::NOT_FOUND);
  }
}

TEST_F(AdaptationServiceTest, AFileIsStreamedWithoutItsPadding) {
  std::string file;
  ASSERT_TRUE(Export(Adapted(), v1::ExportRequest::FORMAT_TORCHSCRIPT, file).ok());
  EXPECT_EQ(file, std::string(5, '\2'));
  const grpc::Status status = Export(Adapted(), v1::ExportRequest::FORMAT_UNSPECIFIED, file);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("FORMAT_SAFETENSORS or FORMAT_TORCHSCRIPT"));
}

TEST_F(AdaptationServiceTest, AModelSaysWhatItTakes) {
  v1::DescribeRequest request;
  request.set_checkpoint(id_ + "@2");
  v1::ModelDescription model;
  grpc::ClientContext context;
  ASSERT_TRUE(stub_->Describe(&context, request, &model).ok());
  EXPECT_EQ(model.job_id(), id_);
  EXPECT_EQ(model.iteration(), 2);
  EXPECT_THAT(model.input_shape(), ::testing::ElementsAre(1));
  EXPECT_EQ(model.target_size(), 1);
  EXPECT_TRUE(model.takes_steps());
}

TEST_F(AdaptationServiceTest, WhatDoesNotFitIsRefusedBeforeAWorkerSeesIt) {
  cluster_.workers()[0]->eager = false;
  v1::AdaptRequest request = Request();
  request.clear_checkpoint();
  EXPECT_EQ(ErrorOf(request), "checkpoint is missing");
  request = Request();
  request.clear_support();
  EXPECT_EQ(ErrorOf(request), "support.inputs.shape is []; the model takes [1]");
  request = Request();
  request.mutable_rule()->set_inner_steps(20'000);
  EXPECT_THAT(ErrorOf(request), HasSubstr("rule.inner_steps is 20000"));
  request = Request();
  request.mutable_queries()->add_shape(1);
  EXPECT_THAT(ErrorOf(request), HasSubstr("queries hold 0 bytes"));
  request = Request();
  SetFloats(std::vector<float>(200'001), *request.mutable_queries());
  EXPECT_THAT(ErrorOf(request), HasSubstr("200001 queries were sent; at most 200000"));
  EXPECT_FALSE(cluster_.workers()[0]->HasItems());
}

TEST_F(AdaptationServiceTest, ItsStopEndsCallsThatWait) {
  cluster_.workers()[0]->eager = false;
  service_.Stop();
  v1::AdaptResponse response;
  EXPECT_EQ(Adapt(Request(), response).error_code(), grpc::StatusCode::UNAVAILABLE);
}

}  // namespace
}  // namespace innerloop::server
