// A user's own examples from files, prepared as a model's training set was.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "innerloop/v1/adaptation.pb.h"

namespace innerloop::client {

// Examples in the order of their files or rows.
struct OwnExamples {
  v1::Examples inputs;
  // For people: a file, or a row of a table.
  std::vector<std::string> names;
  // The class of each, for people; empty where it is not known.
  std::vector<std::string> classes;
  // For regression, [n, target_size]; empty where they are not known.
  std::vector<float> targets;
  // Columns of the targets.
  std::vector<std::string> target_names;
  // Of a table whose rows tell it, where tasks are groups: the group that all are of.
  std::string group;
};

// A support set, and what its labels stand for.
struct OwnSupport {
  v1::SupportSet set;
  // By label; empty for regression.
  std::vector<std::string> classes;
  // Columns of regression's targets.
  std::vector<std::string> targets;
  // As in OwnExamples.
  std::string group;
};

// `source`: for a model of images a folder (or an archive) of class folders, else a CSV file with
// the columns that the training set was imported from (for generated tasks: inputs first, then
// targets). Of a table, rows of `group` alone, unless it is empty. INVALID_ARGUMENT names the file,
// and what in it does not fit, e.g. rows of several groups where each is a task.
absl::StatusOr<OwnSupport> ReadSupport(const v1::ModelDescription& model, const std::string& source,
                                       const std::string& group);

// The same without the need for classes or targets; images also right in the folder, or as single
// files. Classes are those of the support set, and so is the group.
absl::StatusOr<OwnExamples> ReadQueries(const v1::ModelDescription& model,
                                        const OwnSupport& support,
                                        const std::vector<std::string>& sources,
                                        const std::string& group);

}  // namespace innerloop::client
