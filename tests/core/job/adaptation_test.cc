#include "core/job/adaptation.h"

#include <cmath>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/job/job_spec.h"

namespace innerloop {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Floats(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

v1::CheckpointMetadata OfImages(const std::string& algorithm) {
  v1::CheckpointMetadata metadata;
  metadata.set_job_id("abc");
  metadata.set_iteration(7);
  v1::DataSetDescription& data_set = *metadata.mutable_data_set();
  data_set.set_name("digits");
  data_set.set_dtype("uint8");
  data_set.set_classes(10);
  data_set.set_examples(200);
  data_set.set_smallest_class(20);
  for (const int64_t length : {4, 4, 1}) {
    data_set.add_example_shape(length);
  }
  const absl::StatusOr<v1::JobSpec> spec = ParseJobSpec(
      "model { mlp { hidden: 4 } } tasks { episodes { dataset: \"digits\" ways: 3 shots: 1 "
      "split { counts { train: 5 } } } } algorithm { " +
          algorithm + " } meta_batch: 1 iterations: 1",
      "job");
  EXPECT_TRUE(spec.ok()) << spec.status();
  const absl::StatusOr<v1::JobSpec> resolved = ResolveJobSpec(*spec, &data_set);
  EXPECT_TRUE(resolved.ok()) << resolved.status();
  *metadata.mutable_spec() = *resolved;
  return metadata;
}

v1::ModelDescription ImageModel(const std::string& algorithm = "maml { inner_steps: 2 }") {
  return *DescribeModel(OfImages(algorithm));
}

v1::SupportSet Images(const std::vector<uint32_t>& labels) {
  v1::SupportSet support;
  for (const int64_t length : {4, 4, 1}) {
    support.mutable_inputs()->add_shape(length);
  }
  support.mutable_inputs()->set_uint8(std::string(16 * labels.size(), '\7'));
  support.mutable_labels()->Add(labels.begin(), labels.end());
  return support;
}

std::string ErrorOf(const absl::Status& status) {
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  return std::string(status.message());
}

TEST(DescribeModelTest, AnImageModelOfEpisodesTellsItsShapeAndWays) {
  const v1::ModelDescription model = ImageModel();
  EXPECT_EQ(model.job_id(), "abc");
  EXPECT_EQ(model.iteration(), 7);
  EXPECT_THAT(model.input_shape(), ElementsAre(4, 4, 1));
  EXPECT_EQ(model.most_classes(), 3);
  EXPECT_EQ(model.target_size(), 0);
  EXPECT_FALSE(model.shared_classes());
  EXPECT_TRUE(model.takes_steps());
  EXPECT_EQ(model.rule().inner_steps(), 10);
  EXPECT_EQ(model.rule().transduction(), v1::TRANSDUCTION_SUPPORT_STATISTICS);
  EXPECT_EQ(model.data_set().name(), "digits");
}

TEST(DescribeModelTest, AMetricMethodTakesAnyNumberOfClassesAndNoSteps) {
  const v1::CheckpointMetadata metadata = OfImages("prototypical_networks {}");
  const v1::ModelDescription model = *DescribeModel(metadata);
  EXPECT_EQ(model.most_classes(), 0);
  EXPECT_FALSE(model.takes_steps());
  EXPECT_EQ(model.rule().inner_steps(), 0);
  EXPECT_TRUE(CheckSupport(model, Images({0, 1, 2, 3, 4, 5})).ok());
  v1::AdaptationRule rule;
  rule.set_inner_steps(3);
  EXPECT_THAT(ErrorOf(ResolveRule(metadata.spec(), rule).status()),
              HasSubstr("rule.inner_steps is 3; metric methods take none"));
}

TEST(DescribeModelTest, ExamplesHaveAShapeThatExamplesCanHave) {
  const auto error = [](const std::vector<int64_t>& shape) {
    v1::CheckpointMetadata metadata = OfImages("maml { inner_steps: 2 }");
    metadata.mutable_data_set()->clear_example_shape();
    metadata.mutable_data_set()->mutable_example_shape()->Add(shape.begin(), shape.end());
    return ErrorOf(DescribeModel(metadata).status());
  };
  EXPECT_EQ(error({0}),
            "the tasks have examples of shape [0] and 3 outputs; both must be 1 to 67108864 "
            "numbers");
  for (const std::vector<int64_t>& shape : std::vector<std::vector<int64_t>>{
           {}, {-4, -4, 1}, {4, 0, 1}, {int64_t{1} << 32, int64_t{1} << 32, 1}, {67'108'865}}) {
    EXPECT_THAT(error(shape), HasSubstr("must be 1 to 67108864 numbers"));
  }
  v1::CheckpointMetadata generated = OfImages("maml { inner_steps: 2 }");
  generated.mutable_spec()->mutable_tasks()->mutable_random_map()->set_outputs(2);
  EXPECT_THAT(ErrorOf(DescribeModel(generated).status()), HasSubstr("shape [0] and 2 outputs"));
  generated.mutable_spec()->mutable_tasks()->mutable_random_map()->set_inputs(2);
  generated.mutable_spec()->mutable_tasks()->mutable_random_map()->set_outputs(0);
  EXPECT_THAT(ErrorOf(DescribeModel(generated).status()), HasSubstr("shape [2] and 0 outputs"));
}

TEST(ResolveRuleTest, WhatIsGivenStays) {
  v1::AdaptationRule rule;
  rule.set_inner_steps(4);
  rule.set_line_search(2);
  rule.set_transduction(v1::TRANSDUCTION_SINGLE_QUERY);
  const v1::AdaptationRule resolved =
      *ResolveRule(OfImages("maml { inner_steps: 2 }").spec(), rule);
  EXPECT_EQ(resolved.SerializeAsString(), rule.SerializeAsString());
}

TEST(CheckSupportTest, LabelsCountFromZeroWithoutGaps) {
  const v1::ModelDescription model = ImageModel();
  EXPECT_TRUE(CheckSupport(model, Images({2, 0, 1, 1})).ok());
  EXPECT_TRUE(CheckSupport(model, Images({1, 0})).ok()) << "fewer than the model has ways";
  EXPECT_EQ(ErrorOf(CheckSupport(model, Images({0, 2, 2}))),
            "support.labels hold no example of class 1, but of class 2; classes count from 0 and "
            "each has an example");
  EXPECT_THAT(ErrorOf(CheckSupport(model, Images({0, 1, 4'000'000'000}))),
              HasSubstr("no example of class 2, but of class 4000000000"));
  EXPECT_EQ(ErrorOf(CheckSupport(model, Images({0, 1, 2, 3}))),
            "the support set has 4 classes; the model tells at most 3 apart");
  EXPECT_THAT(ErrorOf(CheckSupport(model, Images({0, 0}))), HasSubstr("nothing to tell apart"));
}

TEST(CheckSupportTest, GroupsShareTheirClassesAndMayLackSome) {
  v1::ModelDescription model = ImageModel();
  model.set_shared_classes(true);
  EXPECT_TRUE(CheckSupport(model, Images({2, 2})).ok());
  EXPECT_EQ(AnswerSize(model, Images({1})), 3);
  EXPECT_EQ(ErrorOf(CheckSupport(model, Images({3}))),
            "support.labels hold class 3; the model knows classes 0 to 2");
}

TEST(CheckSupportTest, ExamplesHaveTheModelsShape) {
  const v1::ModelDescription model = ImageModel();
  v1::SupportSet support = Images({0, 1});
  support.mutable_inputs()->set_shape(2, 3);
  EXPECT_EQ(ErrorOf(CheckSupport(model, support)),
            "support.inputs.shape is [4, 4, 3]; the model takes [4, 4, 1]");
  support = Images({0, 1});
  support.mutable_inputs()->mutable_uint8()->pop_back();
  EXPECT_EQ(ErrorOf(CheckSupport(model, support)),
            "support.inputs hold 31 bytes; they must be one or more examples of 16 bytes each");
  support = Images({0, 1});
  support.add_labels(0);
  EXPECT_THAT(ErrorOf(CheckSupport(model, support)),
              HasSubstr("2 examples, 3 labels and 0 targets"));
  support = Images(std::vector<uint32_t>(131'073, 0));
  EXPECT_THAT(ErrorOf(CheckSupport(model, support)), HasSubstr("at most 2097152 are taken"));
}

TEST(CheckSupportTest, OfAShapeThatNoExampleHasThereAreNoExamples) {
  v1::ModelDescription model;
  model.set_target_size(1);
  v1::SupportSet support;
  support.mutable_inputs()->set_float32(Floats({1, 2}));
  for (const std::vector<int64_t>& shape :
       std::vector<std::vector<int64_t>>{{0}, {-1}, {int64_t{1} << 32, int64_t{1} << 32}}) {
    model.clear_input_shape();
    model.mutable_input_shape()->Add(shape.begin(), shape.end());
    *support.mutable_inputs()->mutable_shape() = model.input_shape();
    EXPECT_THAT(ErrorOf(CheckSupport(model, support)), HasSubstr("which no example can have"));
    EXPECT_EQ(CountOf(support.inputs()), 0);
  }
}

TEST(CheckSupportTest, NumbersAreFiniteAndTargetsAreThere) {
  v1::ModelDescription model;
  model.add_input_shape(2);
  model.set_target_size(1);
  v1::SupportSet support;
  support.mutable_inputs()->add_shape(2);
  support.mutable_inputs()->set_float32(Floats({1, 2, 3, NAN}));
  support.add_targets(1);
  support.add_targets(2);
  EXPECT_EQ(ErrorOf(CheckSupport(model, support)),
            "support.inputs hold an infinity or a NaN in example 1; numbers must be finite");
  support.mutable_inputs()->set_float32(Floats({1, 2, 3, 4}));
  EXPECT_TRUE(CheckSupport(model, support).ok());
  support.set_targets(1, INFINITY);
  EXPECT_THAT(ErrorOf(CheckSupport(model, support)), HasSubstr("support.targets hold"));
  support.clear_targets();
  EXPECT_THAT(ErrorOf(CheckSupport(model, support)),
              HasSubstr("0 targets and 0 labels; the model wants 1 target(s)"));
  support.mutable_inputs()->set_uint8("abcd");
  EXPECT_THAT(ErrorOf(CheckSupport(model, support)), HasSubstr("are uint8, which is for images"));
}

TEST(CheckQueriesTest, SupportSetAndQueriesFitOneMessage) {
  const v1::ModelDescription model = ImageModel();
  const v1::SupportSet support = Images({0, 1, 2});
  EXPECT_EQ(MostQueries(model, support, 16), 66'666) << "200,000 numbers";
  EXPECT_EQ(MostQueries(model, support, 16'384), (3 * 1'048'576 - 48) / 16'384);
  EXPECT_TRUE(CheckQueries(model, support, Images(std::vector<uint32_t>(66'666)).inputs()).ok());
  EXPECT_EQ(ErrorOf(CheckQueries(model, support, Images(std::vector<uint32_t>(66'667)).inputs())),
            "66667 queries were sent; at most 66666 like these fit one call with this support set");
}

}  // namespace
}  // namespace innerloop
