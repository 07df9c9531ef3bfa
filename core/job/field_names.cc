#include "core/job/field_names.h"

#include <set>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "innerloop/v1/job.pb.h"

namespace innerloop::job {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::DescriptorPool;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;

// The text before `end`, which is taken off `rest` with it; false where there is none.
bool Take(absl::string_view& rest, absl::string_view end, absl::string_view& taken) {
  const size_t at = rest.find(end);
  if (at == absl::string_view::npos) {
    return false;
  }
  taken = rest.substr(0, at);
  rest.remove_prefix(at + end.size());
  return true;
}

std::string UnknownField(const Descriptor& type, absl::string_view field) {
  return absl::StrCat(&type == v1::JobSpec::descriptor() ? "a job" : type.name(), " has no field '",
                      field, "'; it has ", FieldNames(type));
}

// The enumerations of fields of a job that have this name.
void CollectEnums(const Descriptor& type, absl::string_view field,
                  std::set<const Descriptor*>& seen, std::set<const EnumDescriptor*>& found) {
  if (!seen.insert(&type).second) {
    return;
  }
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& member = *type.field(i);
    if (member.enum_type() != nullptr && member.name() == field) {
      found.insert(member.enum_type());
    }
    if (member.message_type() != nullptr) {
      CollectEnums(*member.message_type(), field, seen, found);
    }
  }
}

// The message that a JSON path such as "model.mlp" or "objective.terms[0]" leads to, or null.
const Descriptor* TypeAt(absl::string_view path) {
  const Descriptor* type = v1::JobSpec::descriptor();
  for (absl::string_view part : absl::StrSplit(path, '.', absl::SkipEmpty())) {
    part = part.substr(0, part.find('['));
    const FieldDescriptor* field = nullptr;
    for (int i = 0; i < type->field_count(); ++i) {
      if (type->field(i)->json_name() == part || type->field(i)->name() == part) {
        field = type->field(i);
      }
    }
    if (field == nullptr || field->message_type() == nullptr) {
      return nullptr;
    }
    type = field->message_type();
  }
  return type;
}

}  // namespace

std::string FieldNames(const Descriptor& type) {
  std::vector<std::string> names;
  names.reserve(static_cast<size_t>(type.field_count()));
  for (int i = 0; i < type.field_count(); ++i) {
    names.push_back(type.field(i)->name());
  }
  return absl::StrJoin(names, ", ");
}

std::string EnumNames(const EnumDescriptor& type) {
  std::vector<std::string> names;
  for (int i = 1; i < type.value_count(); ++i) {
    names.push_back(type.value(i)->name());
  }
  return absl::StrJoin(names, ", ");
}

std::string ExplainTextError(absl::string_view error) {
  absl::string_view rest = error;
  absl::string_view name;
  absl::string_view field;
  if (absl::ConsumePrefix(&rest, "Message type \"") &&
      Take(rest, "\" has no field named \"", name) && Take(rest, "\"", field)) {
    const Descriptor* type =
        DescriptorPool::generated_pool()->FindMessageTypeByName(std::string(name));
    return type == nullptr ? std::string(error) : UnknownField(*type, field);
  }
  rest = error;
  if (absl::ConsumePrefix(&rest, "Unknown enumeration value of \"") &&
      Take(rest, "\" for field \"", name) && Take(rest, "\"", field)) {
    std::set<const Descriptor*> seen;
    std::set<const EnumDescriptor*> found;
    CollectEnums(*v1::JobSpec::descriptor(), field, seen, found);
    return absl::StrCat(
        field, " has no value '", name,
        found.size() == 1 ? absl::StrCat("'; it takes one of ", EnumNames(**found.begin())) : "'");
  }
  return std::string(error);
}

std::string ExplainJsonError(absl::string_view error) {
  // "(model.mlp) hiden: Cannot find field.", without the part in parentheses at the top.
  absl::string_view rest = error;
  absl::string_view path;
  const bool has_path = absl::ConsumePrefix(&rest, "(") && Take(rest, ")", path);
  absl::string_view what = has_path ? rest : error;
  absl::string_view field;
  if (Take(what, ": Cannot find field", field)) {
    const Descriptor* type = TypeAt(path);
    return type == nullptr ? std::string(error)
                           : UnknownField(*type, absl::StripPrefix(field, " "));
  }
  // "(model.mlp.activation): invalid value "FOO" for type type.googleapis.com/...".
  absl::string_view value;
  constexpr absl::string_view kOfType = " for type type.googleapis.com/";
  if (has_path && absl::ConsumePrefix(&rest, ": invalid value ") && Take(rest, kOfType, value)) {
    const EnumDescriptor* type =
        DescriptorPool::generated_pool()->FindEnumTypeByName(std::string(rest));
    if (type != nullptr) {
      return absl::StrCat(path, " has no value ", value, "; it takes one of ", EnumNames(*type));
    }
  }
  return std::string(error);
}

}  // namespace innerloop::job
