// Jobs of methods that compare embeddings.
#include <string>

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/job/job_spec.h"

namespace innerloop {
namespace {

using ::testing::HasSubstr;

constexpr char kEpisodes[] =
    "tasks { episodes { dataset: 'digits' ways: 5 shots: 1 split { counts { train: 5 } } } } ";
constexpr char kConv4[] = "model { conv4 { } } ";

absl::StatusOr<v1::JobSpec> Resolve(const std::string& text) {
  v1::JobSpec spec;
  const std::string rest = " meta_batch: 2 iterations: 1";
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text + rest, &spec)) << text;
  return ResolveJobSpec(spec, nullptr);
}

TEST(ResolveMetric, FillsInTheDefaultsThatTheProtoDocuments) {
  const auto matching = Resolve(
      absl::StrCat(kConv4, kEpisodes, "algorithm { matching_networks { full_context { } } }"));
  ASSERT_TRUE(matching.ok()) << matching.status();
  EXPECT_EQ(matching->algorithm().matching_networks().scale(), 10);
  EXPECT_EQ(matching->algorithm().matching_networks().full_context().read_steps(), 5);
  EXPECT_EQ(matching->evaluation().final().inner_steps(), 0);
  EXPECT_EQ(matching->evaluation().final().transduction(), v1::TRANSDUCTION_SUPPORT_STATISTICS);
  EXPECT_EQ(matching->compute().engine(), v1::ComputeSpec::ENGINE_AUTOGRAD);

  const auto euclidean =
      Resolve(absl::StrCat(kConv4, kEpisodes, "algorithm { prototypical_networks { } }"));
  ASSERT_TRUE(euclidean.ok()) << euclidean.status();
  EXPECT_EQ(euclidean->algorithm().prototypical_networks().distance(),
            v1::PrototypicalNetworks::DISTANCE_EUCLIDEAN);
  EXPECT_EQ(euclidean->algorithm().prototypical_networks().scale(), 1);
  const auto cosine = Resolve(absl::StrCat(
      kConv4, kEpisodes, "algorithm { prototypical_networks { distance: DISTANCE_COSINE } }"));
  ASSERT_TRUE(cosine.ok()) << cosine.status();
  EXPECT_EQ(cosine->algorithm().prototypical_networks().scale(), 10);

  for (const auto& once : {matching, euclidean, cosine}) {
    const auto twice = ResolveJobSpec(*once, nullptr);
    ASSERT_TRUE(twice.ok()) << twice.status();
    EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(*once, *twice));
  }
}

struct BadJob {
  const char* name;
  const char* model;
  const char* algorithm;
  const char* rest;
  const char* message;
};

class BadMetricJobs : public ::testing::TestWithParam<BadJob> {};

TEST_P(BadMetricJobs, AreRefusedNamingTheFieldAndTheRemedy) {
  const BadJob& bad = GetParam();
  const std::string tasks =
      absl::StrContains(bad.rest, "tasks {") ? bad.rest : absl::StrCat(kEpisodes, bad.rest);
  const auto resolved =
      Resolve(absl::StrCat("model { ", bad.model, " } algorithm { ", bad.algorithm, " } ", tasks));
  EXPECT_EQ(resolved.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(resolved.status().message()), HasSubstr(bad.message));
}

INSTANTIATE_TEST_SUITE_P(
    ResolveMetric, BadMetricJobs,
    ::testing::Values(
        BadJob{"Regression", "mlp { hidden: 4 }", "prototypical_networks { }",
               "tasks { sinusoid { } }",
               "algorithm.prototypical_networks tells classes apart; the tasks have numeric "
               "targets"},
        BadJob{"AnotherLoss", "conv4 { }", "matching_networks { }",
               "loss { kind: KIND_BINARY_CROSS_ENTROPY }",
               "loss.kind is KIND_BINARY_CROSS_ENTROPY; algorithm.matching_networks minimises "
               "KIND_CROSS_ENTROPY alone"},
        BadJob{"NoParameters", "linear { }", "prototypical_networks { }", "",
               "algorithm.prototypical_networks.embedding_size is 0"},
        BadJob{"NoHiddenLayers", "mlp { }", "matching_networks { }", "",
               "algorithm.matching_networks.embedding_size is 0"},
        BadJob{"OtherOutputs", "conv4 { } outputs: 5", "matching_networks { embedding_size: 64 }",
               "", "model.outputs is 5; algorithm.matching_networks.embedding_size is 64"},
        BadJob{"ZeroScale", "conv4 { }", "matching_networks { scale: 0 }", "",
               "algorithm.matching_networks.scale is 0; it must be above 0"},
        BadJob{"NegativeScale", "conv4 { }", "prototypical_networks { scale: -1 }", "",
               "algorithm.prototypical_networks.scale is -1; it must be above 0"},
        BadJob{"LargeEmbedding", "conv4 { }", "prototypical_networks { embedding_size: 65537 }", "",
               "algorithm.prototypical_networks.embedding_size is 65537; it must be 0 to"},
        BadJob{"NoReads", "conv4 { }", "matching_networks { full_context { read_steps: 0 } }", "",
               "algorithm.matching_networks.full_context.read_steps is 0; it must be 1 to 100"},
        BadJob{"Objective", "conv4 { }", "prototypical_networks { }",
               "objective { terms { query_loss { } } }",
               "objective is for algorithm.maml, reptile and lstm_meta_learner"},
        BadJob{"InnerSteps", "conv4 { }", "matching_networks { }",
               "evaluation { final { inner_steps: 3 } }",
               "evaluation.final.inner_steps is 3; metric methods take none"},
        BadJob{"LineSearch", "conv4 { }", "matching_networks { }",
               "evaluation { final { line_search: 3 } }",
               "evaluation.final.line_search is 3; metric methods take no steps"}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(ResolveMetric, EvaluationsMayHaveOtherWays) {
  const auto resolved = Resolve(absl::StrCat(kConv4, kEpisodes,
                                             "algorithm { prototypical_networks { } } "
                                             "evaluation { every: 10 final { ways: 20 } }"));
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_EQ(resolved->evaluation().final().ways(), 20);
  EXPECT_EQ(resolved->evaluation().periodic().ways(), 5);
}

}  // namespace
}  // namespace innerloop
