// The messages of the API as tables and as JSON objects. Fractions stay fractions in JSON and are
// percent in tables.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/checkpoint/checkpoint.h"
#include "innerloop/v1/training.pb.h"

namespace innerloop::client {

// Keys in the order they are put in, as people read them.
using Json = nlohmann::ordered_json;

// One line, with a line feed; bytes that are no UTF-8 are replaced.
std::string JsonLine(const Json& json);

// An enumerator without its prefix: "JOB_STATE_RUNNING" -> "RUNNING".
std::string StateName(v1::JobState state);
// "maml, sinusoid, mlp".
std::string MethodName(const v1::JobSpec& spec);
// RFC 3339 in UTC; empty when not set.
std::string TimeText(const google::protobuf::Timestamp& time);

// {iteration, the protocol, steps: [...]}; the spec is of the job that was evaluated.
Json EvaluationJson(const v1::Evaluation& evaluation, const v1::JobSpec& spec);
// {source, step, loss, accuracy}, of the last two what there is.
Json PublishedJson(const v1::PublishedResult& result);
Json IterationJson(const v1::IterationRecord& record);
Json JobJson(const v1::Job& job);
Json SpecJson(const v1::JobSpec& spec);
// {key: value}, by key.
Json LabelsJson(const v1::JobSpec& spec);
Json CheckpointInfoJson(const v1::CheckpointInfo& info);
Json CheckpointJson(const Checkpoint& checkpoint);
Json DataSetJson(const v1::DataSetDescription& data_set);
Json WorkerJson(const v1::WorkerInfo& worker);

// The spec's published figures after so many inner steps: "98.70 % (Finn et al. 2017)".
std::string PublishedText(const v1::JobSpec& spec, uint32_t step);
// A line of StepsTable; no accuracy where tasks have none.
struct StepRow {
  uint32_t step = 0;
  std::string accuracy;
  std::string loss;
};
// Measures after each inner step, with the spec's published figures beside them if `published`.
std::string StepsTable(const std::vector<StepRow>& rows, const v1::JobSpec& spec, bool published);
// With the published figures of the spec beside it if it is one of the job's own evaluations.
std::string EvaluationTable(const v1::Evaluation& evaluation, const v1::JobSpec& spec);
std::string JobsTable(const std::vector<v1::Job>& jobs);
std::string JobText(const v1::Job& job);
// The spec as textproto; long lists of class names are cut.
std::string SpecText(const v1::JobSpec& spec);
// The same in full: a job file.
std::string JobFileText(const v1::JobSpec& spec);
// "experiment=shots, try=3", by key.
std::string LabelsText(const v1::JobSpec& spec);
std::string CheckpointsTable(const std::vector<v1::CheckpointInfo>& checkpoints);
std::string CheckpointText(const Checkpoint& checkpoint);
std::string DataSetsTable(const std::vector<v1::DataSetDescription>& data_sets);
std::string DataSetText(const v1::DataSetDescription& data_set);
std::string WorkersTable(const std::vector<v1::WorkerInfo>& workers);

}  // namespace innerloop::client
