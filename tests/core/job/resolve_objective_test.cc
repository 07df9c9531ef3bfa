// The meta-objective's defaults and complaints, and what it means for the engine.
#include <string>

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "core/job/doubts.h"
#include "core/job/engine.h"
#include "core/job/job_spec.h"

namespace innerloop {
namespace {

using ::google::protobuf::util::MessageDifferencer;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kMaml[] = "maml { inner_steps: 4 }";

// With 16 tasks in two shards of one chunk each.
v1::JobSpec Job(const std::string& objective, const std::string& algorithm = kMaml,
                const std::string& model = "mlp { hidden: 40 }") {
  v1::JobSpec spec;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(
      absl::StrCat("model { ", model, " } tasks { sinusoid { } } algorithm { ", algorithm,
                   " } objective { ", objective, " } meta_batch: 16 iterations: 1"),
      &spec));
  return spec;
}

std::string ErrorOf(const v1::JobSpec& spec) {
  return std::string(ResolveJobSpec(spec, nullptr).status().message());
}

TEST(ResolveObjective, FillsInTheDefaultsThatTheProtoDocuments) {
  const auto resolved = ResolveJobSpec(
      Job("terms { query_loss { } } terms { multi_step_query_loss { } } terms { contrastive { } }"),
      nullptr);
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  const v1::MetaObjective& objective = resolved->objective();
  EXPECT_EQ(objective.terms(0).weight(), 1);
  EXPECT_THAT(objective.terms(1).multi_step_query_loss().step_weights(),
              ::testing::ElementsAre(0.25, 0.25, 0.25, 0.25));
  EXPECT_EQ(objective.terms(2).contrastive().margin(), 1);
  EXPECT_EQ(objective.terms(2).contrastive().space(), v1::Contrastive::SPACE_PARAMETERS);
  const auto twice = ResolveJobSpec(*resolved, nullptr);
  ASSERT_TRUE(twice.ok()) << twice.status();
  EXPECT_TRUE(MessageDifferencer::Equals(*resolved, *twice));
}

TEST(ResolveObjective, WithoutTermsIsLikeNone) {
  const auto resolved = ResolveJobSpec(Job(""), nullptr);
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_FALSE(resolved->has_objective());
}

TEST(ResolveObjective, KeepsAWeightOfZero) {
  const auto resolved = ResolveJobSpec(Job("terms { weight: 0 gradient_norm { } }"), nullptr);
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_EQ(resolved->objective().terms(0).weight(), 0);
}

struct BadObjective {
  const char* name;
  v1::JobSpec spec;
  const char* message;
};

class BadObjectives : public ::testing::TestWithParam<BadObjective> {};

TEST_P(BadObjectives, AreRefusedNamingTheTermAndTheRemedy) {
  EXPECT_THAT(ErrorOf(GetParam().spec), HasSubstr(GetParam().message));
}

std::string Terms(int count) {
  std::string terms;
  for (int i = 0; i < count; ++i) {
    terms += "terms { query_loss { } } ";
  }
  return terms;
}

constexpr char kFirst[] = "maml { inner_steps: 4 order: ORDER_FIRST }";
constexpr char kReptile[] = "reptile { inner_steps: 4 }";
constexpr char kEmbeddings[] = "terms { contrastive { space: SPACE_EMBEDDINGS } }";

INSTANTIATE_TEST_SUITE_P(
    ResolveObjective, BadObjectives,
    ::testing::Values(
        BadObjective{"NoKind", Job("terms { query_loss { } } terms { weight: 2 }"),
                     "objective.terms[1] is missing; choose query_loss, multi_step_query_loss"},
        BadObjective{"WeightIsNoNumber", Job("terms { weight: nan query_loss { } }"),
                     "objective.terms[0].weight is nan; it must be a finite number"},
        BadObjective{"TooManyTerms", Job(Terms(17)), "objective.terms has 17 terms; at most 16"},
        BadObjective{
            "WrongNumberOfStepWeights",
            Job("terms { multi_step_query_loss { step_weights: [1, 2, 3] } }"),
            "objective.terms[0].multi_step_query_loss.step_weights has 3 values; inner_steps is 4"},
        BadObjective{"NegativeStepWeight",
                     Job("terms { multi_step_query_loss { step_weights: [1, 2, -3, 0] } }"),
                     "objective.terms[0].multi_step_query_loss.step_weights[2] is -3"},
        BadObjective{"NoStepCounts",
                     Job("terms { multi_step_query_loss { step_weights: [0, 0, 0, 0] } }"),
                     "step_weights are all 0"},
        BadObjective{"InfiniteMargin",
                     Job("terms { query_loss { } } terms { contrastive { margin: inf } }"),
                     "objective.terms[1].contrastive.margin is inf; it must be a finite number"},
        BadObjective{"ContrastiveParametersOfFirstOrder", Job("terms { contrastive { } }", kFirst),
                     "objective.terms[0].contrastive in SPACE_PARAMETERS has no first-order "
                     "gradient: take algorithm.maml with ORDER_SECOND or ORDER_HVP, or "
                     "SPACE_EMBEDDINGS"},
        BadObjective{"DistanceThroughReptile",
                     Job("terms { parameter_distance { through_adaptation: true } }", kReptile),
                     "objective.terms[0].parameter_distance.through_adaptation has no first-order"},
        BadObjective{"EmbeddingsOfALinearModel", Job(kEmbeddings, kMaml, "linear { }"),
                     "which needs a model with hidden layers"},
        BadObjective{"EmbeddingsWithoutHiddenLayers", Job(kEmbeddings, kMaml, "mlp { }"),
                     "which needs a model with hidden layers"},
        BadObjective{"NegativeProximal",
                     Job("", "maml { inner_steps: 1 inner_optimizer { proximal: -1 } }"),
                     "algorithm.maml.inner_optimizer.proximal is -1; it must be at least 0"}),
    [](const auto& info) { return std::string(info.param.name); });

struct Batches {
  uint32_t meta_batch;
  uint32_t tasks_per_shard;
  uint32_t tasks_per_chunk;
  const char* remedy;  // empty: every chunk has two tasks or more
};

class ContrastiveBatches : public ::testing::TestWithParam<Batches> {};

TEST_P(ContrastiveBatches, HaveTwoTasksInEachChunkOrAreRefused) {
  const Batches& batches = GetParam();
  v1::JobSpec spec = Job("terms { contrastive { } }");
  spec.set_meta_batch(batches.meta_batch);
  spec.set_tasks_per_shard(batches.tasks_per_shard);
  spec.set_tasks_per_chunk(batches.tasks_per_chunk);
  // Counted out.
  bool alone = false;
  for (uint64_t shard = 0; shard < ShardCount(spec); ++shard) {
    const TaskRange range = ShardTasks(spec, shard);
    for (uint64_t first = range.first; first < range.last; first += batches.tasks_per_chunk) {
      alone |= first + 1 == range.last || batches.tasks_per_chunk == 1;
    }
  }
  const std::string error = ErrorOf(spec);
  EXPECT_EQ(alone, !error.empty()) << error;
  if (alone) {
    EXPECT_THAT(error, HasSubstr("objective.terms[0].contrastive pairs each task with the next"));
    EXPECT_THAT(error, HasSubstr(absl::StrCat("a chunk has one task: ", batches.remedy)));
  }
}

INSTANTIATE_TEST_SUITE_P(
    ResolveObjective, ContrastiveBatches,
    ::testing::Values(Batches{32, 8, 8, ""}, Batches{32, 8, 4, ""}, Batches{6, 3, 3, ""},
                      Batches{1, 1, 1, "set meta_batch to 2 or more"},
                      Batches{4, 1, 1, "set tasks_per_shard to 2 and tasks_per_chunk to 2"},
                      Batches{32, 8, 1, "set tasks_per_chunk to 2"},
                      Batches{18, 9, 8, "set tasks_per_chunk to 7"},
                      // Shards of 8 and 7.
                      Batches{15, 8, 7, "set tasks_per_chunk to 5"},
                      // Shards of 2 and 1.
                      Batches{3, 2, 2, "set tasks_per_shard to 3 and tasks_per_chunk to 3"},
                      // Shards of 5 and 5, which only chunks of 3 and 5 cut without a rest of one.
                      Batches{10, 5, 2, "set tasks_per_chunk to 3"}));

TEST(ResolveObjective, ATaskIsDrawnForTwoSupportSets) {
  v1::JobSpec spec = Job("terms { contrastive { } }");
  google::protobuf::TextFormat::ParseFromString(
      "dataset: 'digits' ways: 5 shots: 10 queries: 1 split { counts { train: 5 } }",
      spec.mutable_tasks()->mutable_episodes());
  v1::DataSetDescription digits;
  digits.set_name("digits");
  digits.set_sha256(std::string(64, '1'));
  digits.set_classes(10);
  digits.set_examples(200);
  digits.set_smallest_class(20);
  digits.add_example_shape(28);
  EXPECT_THAT(std::string(ResolveJobSpec(spec, &digits).status().message()),
              HasSubstr("training takes 20 shots (two support sets, for the contrastive term) and "
                        "1 query per class; no class of 'digits' has more than 20 examples"));
  digits.set_examples(201);
  const auto resolved = ResolveJobSpec(spec, &digits);
  EXPECT_TRUE(resolved.ok()) << resolved.status();
}

TEST(WhyNotFused, KnowsThePlainQueryLossAloneWithoutAProximalTerm) {
  const auto engine = [](const v1::JobSpec& spec) {
    const auto resolved = ResolveJobSpec(spec, nullptr);
    EXPECT_TRUE(resolved.ok()) << resolved.status();
    EXPECT_EQ(resolved->compute().engine() == v1::ComputeSpec::ENGINE_FUSED,
              WhyNotFused(*resolved).empty());
    return resolved->compute().engine();
  };
  EXPECT_EQ(engine(Job("")), v1::ComputeSpec::ENGINE_FUSED);
  EXPECT_EQ(engine(Job("terms { query_loss { } }")), v1::ComputeSpec::ENGINE_FUSED);
  for (const char* objective : {"terms { weight: 2 query_loss { } }",
                                "terms { query_loss { } } terms { gradient_norm { } }",
                                "terms { multi_step_query_loss { } }"}) {
    EXPECT_EQ(engine(Job(objective)), v1::ComputeSpec::ENGINE_AUTOGRAD) << objective;
  }
  v1::JobSpec proximal = Job("", "maml { inner_steps: 1 inner_optimizer { proximal: 0.1 } }");
  EXPECT_EQ(engine(proximal), v1::ComputeSpec::ENGINE_AUTOGRAD);
  proximal.mutable_compute()->set_engine(v1::ComputeSpec::ENGINE_FUSED);
  EXPECT_THAT(ErrorOf(proximal), HasSubstr("does not know inner_optimizer.proximal"));
}

TEST(WhyNotFused, NamesWhatTheEngineDoesNotKnow) {
  const auto why = [](const std::string& model, const std::string& algorithm) {
    return WhyNotFused(*ResolveJobSpec(Job("", algorithm, model), nullptr));
  };
  EXPECT_EQ(why("linear { }", kFirst), "");
  EXPECT_EQ(why("mlp { hidden: 5 batch_norm: true }", kMaml), "model.mlp.batch_norm");
  EXPECT_EQ(why("mlp { hidden: 5 activation: ACTIVATION_GELU }", kMaml), "ACTIVATION_GELU");
  EXPECT_EQ(why("linear { }", kReptile), "algorithms other than maml");
  EXPECT_EQ(why("linear { }", "maml { inner_steps: 1 inner_optimizer { adam { } } }"),
            "inner optimisers other than sgd");
  v1::JobSpec huber = Job("");
  huber.mutable_loss()->set_kind(v1::LossSpec::KIND_HUBER);
  EXPECT_EQ(WhyNotFused(*ResolveJobSpec(huber, nullptr)),
            "losses other than KIND_MSE and KIND_CROSS_ENTROPY");
}

TEST(DoubtsAbout, ObjectivesThatLearnNothingOrOvershoot) {
  const auto doubts = [](const std::string& objective, const std::string& algorithm,
                         const std::string& outer) {
    v1::JobSpec spec = Job(objective, algorithm);
    EXPECT_TRUE(
        google::protobuf::TextFormat::ParseFromString(outer, spec.mutable_outer_optimizer()));
    return DoubtsAbout(ResolveJobSpec(spec, nullptr).value(), nullptr);
  };
  constexpr char kReptile[] = "reptile { inner_steps: 2 }";
  EXPECT_THAT(doubts("terms { weight: 0 query_loss { } }", kMaml, ""),
              ElementsAre("objective.terms: its only term has the weight 0, so that nothing is "
                          "learned"));
  EXPECT_THAT(doubts("terms { weight: 0 query_loss { } } terms { gradient_norm { } }", kMaml, ""),
              ElementsAre());
  EXPECT_THAT(doubts("terms { query_loss { } }", kReptile, "sgd { } learning_rate: 1"),
              ElementsAre(HasSubstr("with objective.terms the update is a gradient")));
  EXPECT_THAT(doubts("", kReptile, "sgd { } learning_rate: 1"), ElementsAre());
  EXPECT_THAT(doubts("terms { query_loss { } }", kReptile, "sgd { } learning_rate: 0.01"),
              ElementsAre());
}

}  // namespace
}  // namespace innerloop
