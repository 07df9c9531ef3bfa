#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/job/job_spec.h"

namespace innerloop {
namespace {

using ::testing::HasSubstr;

TEST(SetField, SetsScalarsAtAnyDepth) {
  v1::JobSpec spec;
  ASSERT_TRUE(SetField(spec, "iterations=200").ok());
  ASSERT_TRUE(SetField(spec, "algorithm.maml.inner_steps=5").ok());
  ASSERT_TRUE(SetField(spec, "algorithm.maml.inner_optimizer.sgd.learning_rate=0.5").ok());
  EXPECT_EQ(spec.iterations(), 200);
  EXPECT_EQ(spec.algorithm().maml().inner_steps(), 5);
  EXPECT_EQ(spec.algorithm().maml().inner_optimizer().sgd().learning_rate(), 0.5);
}

TEST(SetField, ZeroReplacesAValue) {
  v1::JobSpec spec;
  spec.set_seed(7);
  ASSERT_TRUE(SetField(spec, "seed=0").ok());
  EXPECT_EQ(spec.seed(), 0);
}

TEST(SetField, AListReplacesTheWholeList) {
  v1::JobSpec spec;
  spec.mutable_model()->mutable_mlp()->add_hidden(40);
  ASSERT_TRUE(SetField(spec, "model.mlp.hidden=[64, 32]").ok());
  ASSERT_EQ(spec.model().mlp().hidden_size(), 2);
  EXPECT_EQ(spec.model().mlp().hidden(0), 64);
  EXPECT_EQ(spec.model().mlp().hidden(1), 32);
}

TEST(SetField, AnotherMemberOfAChoiceReplacesTheFirst) {
  v1::JobSpec spec;
  spec.mutable_algorithm()->mutable_maml()->set_inner_steps(1);
  ASSERT_TRUE(SetField(spec, "algorithm.reptile.inner_steps=3").ok());
  EXPECT_FALSE(spec.algorithm().has_maml());
  EXPECT_EQ(spec.algorithm().reptile().inner_steps(), 3);
}

TEST(SetField, EnumsGoByFullOrShortName) {
  v1::JobSpec spec;
  ASSERT_TRUE(SetField(spec, "algorithm.maml.order=ORDER_FIRST").ok());
  EXPECT_EQ(spec.algorithm().maml().order(), v1::Maml::ORDER_FIRST);
  ASSERT_TRUE(SetField(spec, "algorithm.maml.order=hvp").ok());
  EXPECT_EQ(spec.algorithm().maml().order(), v1::Maml::ORDER_HVP);
}

TEST(SetField, AnEndingThatSeveralEnumsHaveIsNoShortName) {
  v1::JobSpec spec;
  const std::string ambiguous(SetField(spec, "model.mlp.initialisation=normal").message());
  EXPECT_THAT(ambiguous,
              HasSubstr("'normal' can be INITIALISATION_HE_NORMAL or "
                        "INITIALISATION_TRUNCATED_NORMAL or INITIALISATION_LECUN_NORMAL"));
  ASSERT_TRUE(SetField(spec, "model.mlp.initialisation=uniform").ok());
  EXPECT_EQ(spec.model().mlp().initialisation(), v1::INITIALISATION_GLOROT_UNIFORM);
  ASSERT_TRUE(SetField(spec, "model.mlp.activation=relu").ok()) << "LEAKY_RELU ends so too";
  EXPECT_EQ(spec.model().mlp().activation(), v1::ACTIVATION_RELU);
  ASSERT_TRUE(SetField(spec, "loss.kind=cross_entropy").ok());
  EXPECT_EQ(spec.loss().kind(), v1::LossSpec::KIND_CROSS_ENTROPY);
  EXPECT_THAT(std::string(SetField(spec, "model.mlp.initialisation=ones").message()),
              HasSubstr("'ones' does not fit; it takes one of INITIALISATION_HE_NORMAL"));
}

TEST(SetField, StringsNeedNoQuotes) {
  v1::JobSpec spec;
  ASSERT_TRUE(SetField(spec, "tasks.episodes.dataset=my \"set\"").ok());
  EXPECT_EQ(spec.tasks().episodes().dataset(), "my \"set\"");
}

TEST(SetField, MessagesGoAsText) {
  v1::JobSpec spec;
  ASSERT_TRUE(SetField(spec, "outer_optimizer.schedule={cosine {end: 0.1}}").ok());
  EXPECT_EQ(spec.outer_optimizer().schedule().cosine().end(), 0.1);
}

TEST(SetField, AnUnknownFieldIsNamedWithTheKnownOnes) {
  v1::JobSpec spec;
  const absl::Status status = SetField(spec, "algorithm.maml.inner_step=5");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("maml has no field 'inner_step'"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("inner_steps"));
}

TEST(SetField, ABadValueChangesNothingAndSaysWhatIsTaken) {
  v1::JobSpec spec;
  spec.set_iterations(9);
  const absl::Status status = SetField(spec, "iterations=many");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("'many' does not fit"));
  EXPECT_EQ(spec.iterations(), 9);
}

TEST(SetField, ListsAreSetAsAWhole) {
  v1::JobSpec spec;
  ASSERT_TRUE(SetField(spec, "model.mlp.hidden=[64, 32]").ok());
  EXPECT_EQ(spec.model().mlp().hidden_size(), 2);
  ASSERT_TRUE(
      SetField(spec, "objective.terms=[{query_loss {}}, {gradient_norm {} weight: 0.1}]").ok());
  EXPECT_EQ(spec.objective().terms(1).weight(), 0.1);
  EXPECT_THAT(std::string(SetField(spec, "objective.terms.weight=1").message()),
              HasSubstr("terms is set as a whole: it takes a list [{...}, {...}] of entries with "
                        "the fields weight, query_loss"));
  EXPECT_THAT(std::string(SetField(spec, "objective.terms=3").message()),
              HasSubstr("'3' does not fit; it takes a list [{...}, {...}]"));
  EXPECT_THAT(std::string(SetField(spec, "model.mlp.hidden=x").message()),
              HasSubstr("it takes a list [A, B, ...], each a value of type uint32"));
  EXPECT_THAT(std::string(SetField(spec, "iterations.more=1").message()),
              HasSubstr("iterations takes a value of type uint64 and has no fields"));
}

TEST(SetField, AValueMayNotSmuggleInAnotherField) {
  v1::JobSpec spec;
  spec.set_meta_batch(3);
  // A second field behind the first would be set silently if it were taken.
  EXPECT_FALSE(SetField(spec, "iterations=5 meta_batch: 99").ok());
  EXPECT_EQ(spec.meta_batch(), 3);
}

TEST(SetField, WithoutAnEqualsSignItIsNoAssignment) {
  v1::JobSpec spec;
  EXPECT_THAT(std::string(SetField(spec, "iterations").message()), HasSubstr("path=value"));
}

}  // namespace
}  // namespace innerloop
