// What an import of a table may not have been meant to be.
#pragma once

#include <cstddef>
#include <set>
#include <string>
#include <vector>

#include "core/dataset/import.h"

namespace innerloop {

// Watches one column of features for being a group's: whole numbers whose equals stand together.
// One thread only.
class RunWatch {
 public:
  void Add(float value);
  // Whether there were several values, most of them more than once.
  bool LooksLikeGroups() const;
  size_t values() const { return seen_.size(); }

 private:
  bool ruled_out_ = false;
  size_t rows_ = 0;
  float last_ = 0;
  std::set<float> seen_;
};

// One line each. `class_names` are empty for regression; `watched` has a watch for each of
// `features`, the columns' names, where the rows have no groups.
std::vector<std::string> HintsAbout(const CsvImportOptions& options,
                                    const std::vector<std::string>& class_names,
                                    const std::vector<std::string>& features,
                                    const std::vector<RunWatch>& watched);

}  // namespace innerloop
