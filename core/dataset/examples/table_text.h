// The CSV text of an example data set. Private to core/dataset/examples.
#pragma once

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace innerloop {

// Rows of a group, numbered features and a target. One thread only.
class TableText {
 public:
  // Features are called `feature` and their number, from 1.
  TableText(absl::string_view group, absl::string_view feature, int features,
            absl::string_view target) {
    text_ = std::string(group);
    for (int i = 1; i <= features; ++i) {
      absl::StrAppend(&text_, ",", feature, i);
    }
    absl::StrAppend(&text_, ",", target, "\n");
  }
  void Add(absl::string_view group, absl::Span<const double> features, absl::string_view target) {
    absl::StrAppend(&text_, group);
    for (const double value : features) {
      absl::StrAppendFormat(&text_, ",%.4g", value);
    }
    absl::StrAppend(&text_, ",", target, "\n");
  }
  std::string Take() { return std::move(text_); }

 private:
  std::string text_;
};

}  // namespace innerloop
