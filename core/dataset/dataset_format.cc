#include "core/dataset/dataset_format.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/support/json_depth.h"
#include "core/support/status_macros.h"

namespace innerloop {
namespace {

using Json = nlohmann::json;

constexpr int64_t kMaxSide = 4096;
constexpr int64_t kMaxChannels = 4;
constexpr int64_t kMaxFeatures = int64_t{1} << 24;
constexpr int64_t kMaxTargets = int64_t{1} << 16;

template <typename... Parts>
absl::Status Invalid(const Parts&... what) {
  return absl::InvalidArgumentError(absl::StrCat(what...));
}

bool Holds(const Json& value, const std::string& /*type*/) { return value.is_string(); }
bool Holds(const Json& value, uint32_t /*type*/) {
  return value.is_number_unsigned() && value.get<uint64_t>() <= UINT32_MAX;
}

absl::Status OtherForm(absl::string_view key) {
  return Invalid("the metadata '", key, "' has another form than a data set's");
}

// A JSON array whose elements are all of type T.
template <typename T>
absl::Status ReadArray(const Json& json, absl::string_view key, std::vector<T>& values) {
  const auto fits = [](const Json& value) { return Holds(value, T()); };
  if (!json.is_array() || !std::all_of(json.begin(), json.end(), fits)) {
    return OtherForm(key);
  }
  values = json.get<std::vector<T>>();
  return absl::OkStatus();
}

absl::Status CheckLength(absl::string_view key, const std::string& text) {
  return text.size() <= kMaxDatasetMetadata
             ? absl::OkStatus()
             : Invalid("the metadata '", key, "' has ", text.size(), " bytes, more than ",
                       kMaxDatasetMetadata, "; fewer or shorter names take less");
}

absl::StatusOr<Json> Parse(const std::map<std::string, std::string>& metadata, const char* key,
                           int levels) {
  const auto found = metadata.find(key);
  if (found == metadata.end()) {
    return Invalid("the metadata '", key, "' is missing");
  }
  INNERLOOP_RETURN_IF_ERROR(CheckLength(key, found->second));
  if (!NestsWithin(found->second, levels)) {
    return Invalid("the metadata '", key, "' has arrays or objects inside one another more than ",
                   levels, " deep");
  }
  Json json = Json::parse(found->second, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) {
    return Invalid("the metadata '", key, "' is no JSON");
  }
  return json;
}

template <typename T>
absl::Status ReadList(const std::map<std::string, std::string>& metadata, const char* key,
                      std::vector<T>& values) {
  INNERLOOP_ASSIGN_OR_RETURN(const Json json, Parse(metadata, key, /*levels=*/1));
  return ReadArray(json, key, values);
}

absl::Status ReadSplits(const std::map<std::string, std::string>& metadata,
                        std::map<std::string, ClassLists>& splits) {
  constexpr char kKey[] = "splits";
  INNERLOOP_ASSIGN_OR_RETURN(const Json json, Parse(metadata, kKey, /*levels=*/3));
  if (!json.is_object()) {
    return OtherForm(kKey);
  }
  for (const auto& [name, parts] : json.items()) {
    ClassLists& lists = splits[name];
    for (auto [part, list] : {std::pair{"train", &lists.train},
                              {"validation", &lists.validation},
                              {"test", &lists.test}}) {
      const auto found = parts.find(part);
      if (found == parts.end()) {
        return OtherForm(kKey);
      }
      INNERLOOP_RETURN_IF_ERROR(ReadArray(*found, kKey, *list));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckNames(absl::string_view what, const std::vector<std::string>& names) {
  absl::flat_hash_set<absl::string_view> seen;
  for (const std::string& name : names) {
    if (name.empty() || name.size() > 1000) {
      return Invalid("the name of a ", what, " has ", name.size(), " bytes; it takes 1 to 1000");
    }
    if (!seen.insert(name).second) {
      return Invalid("the ", what, " '", name, "' is there twice");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckShape(const std::vector<int64_t>& shape) {
  const auto within = [](int64_t value, int64_t most) { return value >= 1 && value <= most; };
  const bool image = shape.size() == 3 && within(shape[0], kMaxSide) &&
                     within(shape[1], kMaxSide) && within(shape[2], kMaxChannels);
  const bool features = shape.size() == 1 && within(shape[0], kMaxFeatures);
  if (!image && !features) {
    return Invalid("an example of shape [", absl::StrJoin(shape, ","),
                   "] is neither an image [H,W,C] with sides up to ", kMaxSide, " and up to ",
                   kMaxChannels, " channels, nor up to ", kMaxFeatures, " features [D]");
  }
  return absl::OkStatus();
}

// What examples are sorted by: classes, or groups.
absl::Status CheckSorted(absl::string_view what, absl::Span<const int64_t> values, size_t names) {
  int64_t last = -1;
  for (const int64_t value : values) {
    if (value < 0) {
      return Invalid("an example has ", what, " ", value, "; they count from 0");
    }
    if (value != last && value != last + 1) {
      return Invalid(what, " ", value, " comes after ", last, "; examples are sorted by ", what,
                     ", and none is empty");
    }
    last = value;
  }
  if (static_cast<uint64_t>(last + 1) != names) {
    return Invalid("there are ", names, " names for ", what, " 0 to ", last);
  }
  return absl::OkStatus();
}

// Labels in any order.
absl::Status CheckLabels(absl::Span<const int64_t> labels, size_t classes) {
  std::vector<bool> used(classes, false);
  for (const int64_t label : labels) {
    if (label < 0 || static_cast<uint64_t>(label) >= classes) {
      return Invalid("an example has label ", label, "; there are ", classes, " class names");
    }
    used[static_cast<size_t>(label)] = true;
  }
  const auto empty = std::find(used.begin(), used.end(), false);
  if (empty != used.end()) {
    return Invalid("no example has label ", empty - used.begin(), " of ", classes);
  }
  return absl::OkStatus();
}

absl::Status CheckSplit(const std::string& name, const ClassLists& lists, absl::string_view what,
                        size_t count) {
  std::set<uint32_t> seen;
  for (const auto* part : {&lists.train, &lists.validation, &lists.test}) {
    for (const uint32_t index : *part) {
      if (index >= count || !seen.insert(index).second) {
        return Invalid("the split '", name, "' has ", what, " ", index,
                       index >= count ? absl::StrCat("; there are ", count) : " twice");
      }
    }
    if (!std::is_sorted(part->begin(), part->end())) {
      return Invalid("the split '", name, "' does not list each part in rising order");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckTargets(const DatasetContent& content, const ExampleColumns& columns) {
  if (columns.labels.empty() == (content.target_size == 0)) {
    return Invalid("examples have either labels or targets");
  }
  if (content.target_size < 0 || content.target_size > kMaxTargets ||
      columns.target_values !=
          static_cast<uint64_t>(columns.examples) * static_cast<uint64_t>(content.target_size)) {
    return Invalid("there are ", columns.target_values, " target values for ", columns.examples,
                   " examples of ", content.target_size, " targets; an example has up to ",
                   kMaxTargets);
  }
  if (content.target_size > 0 && columns.groups.empty()) {
    return Invalid("targets are for grouped data; these examples have no groups");
  }
  if (content.target_size > 0 && !content.class_names.empty()) {
    return Invalid("examples with targets have no classes; there are ", content.class_names.size(),
                   " class names");
  }
  return absl::OkStatus();
}

absl::Status CheckClassGroups(const DatasetContent& content) {
  if (!content.class_groups.empty() && content.class_groups.size() != content.class_names.size()) {
    return Invalid(content.class_groups.size(), " classes have groups; there are ",
                   content.class_names.size(), " classes");
  }
  for (const uint32_t group : content.class_groups) {
    if (group >= content.group_names.size()) {
      return Invalid("a class belongs to group ", group, "; there are ",
                     content.group_names.size());
    }
  }
  return absl::OkStatus();
}

// Classes and groups of the examples.
absl::Status CheckColumns(const DatasetContent& content, const ExampleColumns& columns) {
  const auto examples = static_cast<size_t>(columns.examples);
  if ((!columns.labels.empty() && columns.labels.size() != examples) ||
      (!columns.groups.empty() && columns.groups.size() != examples)) {
    return Invalid("there are ", columns.labels.size(), " labels and ", columns.groups.size(),
                   " groups for ", examples, " examples");
  }
  INNERLOOP_RETURN_IF_ERROR(CheckTargets(content, columns));
  if (columns.groups.empty()) {
    INNERLOOP_RETURN_IF_ERROR(CheckSorted("class", columns.labels, content.class_names.size()));
    return CheckClassGroups(content);
  }
  if (!content.class_groups.empty()) {
    return Invalid("both examples and classes have groups; one of them can");
  }
  INNERLOOP_RETURN_IF_ERROR(CheckSorted("group", columns.groups, content.group_names.size()));
  return CheckLabels(columns.labels, content.class_names.size());
}

}  // namespace

bool IsDatasetName(absl::string_view name) {
  return !name.empty() && name.size() <= 100 && std::all_of(name.begin(), name.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '_' || c == '-';
  });
}

absl::StatusOr<std::map<std::string, std::string>> DatasetMetadata(const DatasetContent& content) {
  try {
    Json splits = Json::object();
    for (const auto& [name, lists] : content.splits) {
      splits[name] = {
          {"train", lists.train}, {"validation", lists.validation}, {"test", lists.test}};
    }
    std::map<std::string, std::string> metadata = {
        {"format", kDatasetFormat},
        {"name", content.name},
        {"class_names", Json(content.class_names).dump()},
        {"class_groups", Json(content.class_groups).dump()},
        {"group_names", Json(content.group_names).dump()},
        {"preparation", Json(content.preparation).dump()},
        {"splits", splits.dump()}};
    for (const auto& [key, text] : metadata) {
      INNERLOOP_RETURN_IF_ERROR(CheckLength(key, text));
    }
    return metadata;
  } catch (const Json::exception& error) {
    return Invalid("a class, group or split has a name that is no UTF-8: ", error.what());
  }
}

absl::Status ReadDatasetMetadata(const std::map<std::string, std::string>& metadata,
                                 DatasetContent& content) {
  const auto name = metadata.find("name");
  if (name == metadata.end()) {
    return Invalid("the metadata 'name' is missing");
  }
  content.name = name->second;
  INNERLOOP_RETURN_IF_ERROR(ReadList(metadata, "class_names", content.class_names));
  INNERLOOP_RETURN_IF_ERROR(ReadList(metadata, "class_groups", content.class_groups));
  INNERLOOP_RETURN_IF_ERROR(ReadList(metadata, "group_names", content.group_names));
  INNERLOOP_RETURN_IF_ERROR(ReadList(metadata, "preparation", content.preparation));
  return ReadSplits(metadata, content.splits);
}

absl::Status CheckDataset(const DatasetContent& content, const ExampleColumns& columns) {
  if (!IsDatasetName(content.name)) {
    return Invalid("a data set cannot be called '", content.name,
                   "'; names have 1 to 100 characters of A-Z a-z 0-9 . _ -");
  }
  INNERLOOP_RETURN_IF_ERROR(CheckShape(content.example_shape));
  auto values = static_cast<uint64_t>(columns.examples);
  for (const int64_t dimension : content.example_shape) {
    values *= static_cast<uint64_t>(dimension);
  }
  if (columns.examples < 1 || values != columns.input_values) {
    return Invalid("there are ", columns.input_values, " input values for ", columns.examples,
                   " examples of shape [", absl::StrJoin(content.example_shape, ","), "]");
  }
  INNERLOOP_RETURN_IF_ERROR(CheckNames("class", content.class_names));
  INNERLOOP_RETURN_IF_ERROR(CheckNames("group", content.group_names));
  INNERLOOP_RETURN_IF_ERROR(CheckColumns(content, columns));
  const bool grouped = !columns.groups.empty();
  for (const auto& [name, lists] : content.splits) {
    INNERLOOP_RETURN_IF_ERROR(
        CheckSplit(name, lists, grouped ? "group" : "class",
                   grouped ? content.group_names.size() : content.class_names.size()));
  }
  return absl::OkStatus();
}

}  // namespace innerloop
