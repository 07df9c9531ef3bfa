// What an adapted model said, for people and for programs.
#pragma once

#include <string>
#include <vector>

#include "client/render/views.h"
#include "innerloop/v1/adaptation.pb.h"

namespace innerloop::client {

// An adaptation with its predictions, which are empty when there were no queries.
struct AdaptationView {
  std::string checkpoint;  // "JOB@ITERATION", or a file
  v1::AdaptationRule rule;
  std::vector<double> support_losses;
  int64_t support_examples = 0;
  // By label; empty for regression.
  std::vector<std::string> classes;
  // Of regression's targets.
  std::vector<std::string> targets;
  // Of the queries.
  std::vector<std::string> names;
  v1::Predictions predictions;
  // What is known to be right: the class of each query (empty where it is not), or all targets.
  std::vector<std::string> true_classes;
  std::vector<float> true_targets;
  // A file that was written; empty for none.
  std::string out;
};

Json PredictionsJson(const AdaptationView& view);
// Ends with the share of right answers, or the mean squared error, where that can be told.
std::string PredictionsText(const AdaptationView& view);
// A line of names, then a line for each query.
std::string PredictionsCsv(const AdaptationView& view);

}  // namespace innerloop::client
