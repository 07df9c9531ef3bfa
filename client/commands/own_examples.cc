#include "client/commands/own_examples.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/commands/own_images.h"
#include "client/commands/own_tables.h"
#include "core/dataset/image_reader.h"
#include "core/dataset/preparation.h"
#include "core/job/adaptation.h"
#include "core/support/status_macros.h"

namespace innerloop::client {
namespace {

template <typename... Parts>
absl::Status Invalid(const Parts&... what) {
  return absl::InvalidArgumentError(absl::StrCat(what...));
}

bool TakesImages(const v1::ModelDescription& model) { return model.input_shape_size() == 3; }

absl::Status CheckExists(const std::string& source) {
  std::error_code error;
  return std::filesystem::exists(source, error)
             ? absl::OkStatus()
             : absl::NotFoundError(absl::StrCat("there is no '", source, "'"));
}

// A table for images, or images for a table, is told by its name.
absl::Status CheckKind(const v1::ModelDescription& model, const std::string& source) {
  if (TakesImages(model) && absl::EndsWith(absl::AsciiStrToLower(source), ".csv")) {
    return Invalid(source, ": the model takes images, not a table");
  }
  if (!TakesImages(model) && IsImageName(source)) {
    return Invalid(source, ": the model takes a table (CSV) of ", model.input_shape(0),
                   " numbers an example, not images");
  }
  return absl::OkStatus();
}

// What labels stand for: the training set's classes where all tasks share them, else the names in
// the support set, sorted.
absl::StatusOr<std::vector<std::string>> ClassesOf(const v1::ModelDescription& model,
                                                   const std::vector<std::string>& names) {
  const std::set<std::string> found(names.begin(), names.end());
  if (!model.shared_classes()) {
    return std::vector<std::string>(found.begin(), found.end());
  }
  const std::vector<std::string> known = ClassNamesOf(model.data_set());
  if (!known.empty()) {
    return known;
  }
  if (found.size() != model.most_classes()) {
    return Invalid("the support set has ", found.size(), " of the training set's ",
                   model.most_classes(),
                   " classes, whose names the checkpoint does not tell: it must have examples of "
                   "all");
  }
  return std::vector<std::string>(found.begin(), found.end());
}

}  // namespace

absl::StatusOr<OwnSupport> ReadSupport(const v1::ModelDescription& model, const std::string& source,
                                       const std::string& group) {
  if (TakesImages(model) && !group.empty()) {
    return Invalid("--group is for tables; the model takes images");
  }
  INNERLOOP_RETURN_IF_ERROR(CheckExists(source));
  INNERLOOP_RETURN_IF_ERROR(CheckKind(model, source));
  INNERLOOP_ASSIGN_OR_RETURN(OwnExamples examples,
                             TakesImages(model)
                                 ? ReadClassFolders(model, source)
                                 : ReadTable(model, source, group, /*with_targets=*/true));
  OwnSupport support;
  support.group = examples.group;
  *support.set.mutable_inputs() = std::move(examples.inputs);
  if (model.target_size() > 0) {
    support.set.mutable_targets()->Add(examples.targets.begin(), examples.targets.end());
    support.targets = std::move(examples.target_names);
  } else {
    INNERLOOP_ASSIGN_OR_RETURN(support.classes, ClassesOf(model, examples.classes));
    for (size_t i = 0; i < examples.classes.size(); ++i) {
      const auto found =
          std::find(support.classes.begin(), support.classes.end(), examples.classes[i]);
      if (found == support.classes.end()) {
        return Invalid(source, ": ", examples.names[i], " is of class '", examples.classes[i],
                       "'; the training set's classes are ", absl::StrJoin(support.classes, ", "));
      }
      support.set.add_labels(static_cast<uint32_t>(found - support.classes.begin()));
    }
  }
  if (const absl::Status fits = CheckSupport(model, support.set); !fits.ok()) {
    return absl::Status(fits.code(), absl::StrCat(source, ": ", fits.message()));
  }
  return support;
}

absl::StatusOr<OwnExamples> ReadQueries(const v1::ModelDescription& model,
                                        const OwnSupport& support,
                                        const std::vector<std::string>& sources,
                                        const std::string& group) {
  OwnExamples all;
  for (const std::string& source : sources) {
    INNERLOOP_RETURN_IF_ERROR(CheckExists(source));
    INNERLOOP_RETURN_IF_ERROR(CheckKind(model, source));
    INNERLOOP_ASSIGN_OR_RETURN(OwnExamples some,
                               TakesImages(model)
                                   ? ReadImages(model, support.classes, source)
                                   : ReadTable(model, source, group, /*with_targets=*/false));
    if (!some.group.empty() && !support.group.empty() && some.group != support.group) {
      return Invalid(source, ": is of the group '", some.group, "'; the support set is of '",
                     support.group, "'");
    }
    for (std::string& name : some.names) {
      all.names.push_back(sources.size() > 1 && !TakesImages(model)
                              ? absl::StrCat(source, " ", name)
                              : std::move(name));
    }
    *all.inputs.mutable_shape() = some.inputs.shape();
    if (some.inputs.has_uint8()) {
      all.inputs.mutable_uint8()->append(some.inputs.uint8());
    } else {
      all.inputs.mutable_float32()->append(some.inputs.float32());
    }
    // Known of all, or of none; of images each for itself.
    some.classes.resize(model.target_size() == 0 ? all.names.size() - all.classes.size() : 0);
    all.classes.insert(all.classes.end(), some.classes.begin(), some.classes.end());
    all.targets.insert(all.targets.end(), some.targets.begin(), some.targets.end());
  }
  for (const std::string& name : all.classes) {
    if (!name.empty() &&
        std::find(support.classes.begin(), support.classes.end(), name) == support.classes.end()) {
      return Invalid("the queries have the class '", name, "'; the support set's are ",
                     absl::StrJoin(support.classes, ", "));
    }
  }
  if (model.target_size() > 0 &&
      all.targets.size() != all.names.size() * static_cast<size_t>(model.target_size())) {
    all.targets.clear();
  }
  return all;
}

}  // namespace innerloop::client
