// Several jobs side by side.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "client/render/views.h"
#include "innerloop/v1/training.pb.h"

namespace innerloop::client {

// Fields that are set, by their path: "algorithm.maml.inner_steps" -> "5"; lists as "[64, 64]",
// each label on its own, "labels.try" -> "\"3\"".
std::map<std::string, std::string> FieldsOf(const v1::JobSpec& spec);

// Fields of the specs that are not the same in all of them, with each one's value, empty where it
// is not set.
std::map<std::string, std::vector<std::string>> DifferingFields(const std::vector<v1::Job>& jobs);

// SHA-256 of the job's parameters at its last iteration; empty when no checkpoint has them.
std::string ParametersOf(const v1::Job& job);

// What they came to, whether their parameters are equal as far as that is known (null in JSON where
// it is not), and what differs in their specs.
std::string ComparisonText(const std::vector<v1::Job>& jobs);
Json ComparisonJson(const std::vector<v1::Job>& jobs);

}  // namespace innerloop::client
