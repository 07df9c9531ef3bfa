// Jobs of the LSTM meta-learner.
#include <string>

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "core/job/job_spec.h"

namespace innerloop {
namespace {

using ::testing::HasSubstr;

absl::StatusOr<v1::JobSpec> Resolve(const std::string& learner, const std::string& more = "") {
  v1::JobSpec spec;
  const std::string text =
      absl::StrCat("model { linear { } } tasks { sinusoid { } } algorithm { lstm_meta_learner { ",
                   learner, " } } meta_batch: 2 iterations: 1 ", more);
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &spec)) << text;
  return ResolveJobSpec(spec, nullptr);
}

std::string Refusal(const std::string& learner, const std::string& more = "") {
  const auto resolved = Resolve(learner, more);
  EXPECT_EQ(resolved.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(resolved.status().message());
}

TEST(ResolveLstmMetaLearner, FillsInTheDefaultsThatTheProtoDocuments) {
  const auto gates = Resolve("inner_steps: 5");
  ASSERT_TRUE(gates.ok()) << gates.status();
  const v1::LstmMetaLearner& learner = gates->algorithm().lstm_meta_learner();
  EXPECT_EQ(learner.form(), v1::LstmMetaLearner::FORM_GATES);
  EXPECT_EQ(learner.hidden_size(), 20);
  EXPECT_EQ(learner.coordinates_per_block(), 65536);
  EXPECT_FALSE(learner.has_output_scale());
  EXPECT_EQ(gates->compute().engine(), v1::ComputeSpec::ENGINE_AUTOGRAD);
  const auto additive = Resolve("form: FORM_ADDITIVE inner_steps: 5");
  ASSERT_TRUE(additive.ok()) << additive.status();
  EXPECT_EQ(additive->algorithm().lstm_meta_learner().output_scale(), 0.1);
}

TEST(ResolveLstmMetaLearner, NamesTheFieldThatIsWrong) {
  const std::string field = "algorithm.lstm_meta_learner";
  EXPECT_THAT(Refusal(""), HasSubstr(field + ".inner_steps"));
  EXPECT_THAT(Refusal("inner_steps: 1 hidden_size: 0"), HasSubstr(field + ".hidden_size is 0"));
  EXPECT_THAT(Refusal("inner_steps: 1 coordinates_per_block: 0"),
              HasSubstr(field + ".coordinates_per_block is 0"));
  EXPECT_THAT(Refusal("inner_steps: 1 output_scale: 0.1"), HasSubstr("FORM_ADDITIVE alone"));
  EXPECT_THAT(Refusal("inner_steps: 1 form: FORM_ADDITIVE output_scale: -1"),
              HasSubstr(field + ".output_scale is -1"));
}

TEST(ResolveLstmMetaLearner, RefusesLineSearchSinceTheLstmDecidesHowFarStepsGo) {
  EXPECT_THAT(Refusal("inner_steps: 1", "evaluation { final { line_search: 3 } }"),
              HasSubstr("evaluation.final.line_search is 3; lstm_meta_learner has none"));
}

}  // namespace
}  // namespace innerloop
