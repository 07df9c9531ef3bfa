// Setting one field of a job by its path.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/message.h>
#include <google/protobuf/text_format.h>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "core/job/field_names.h"
#include "core/job/job_spec.h"
#include "core/support/status_macros.h"

namespace innerloop {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// What all of its values begin with, up to a "_".
absl::string_view CommonPrefix(const EnumDescriptor& type) {
  absl::string_view prefix = type.value(0)->name();
  for (int i = 1; i < type.value_count(); ++i) {
    const std::string& name = type.value(i)->name();
    const auto* const end =
        std::mismatch(prefix.begin(), prefix.end(), name.begin(), name.end()).first;
    prefix = prefix.substr(0, static_cast<size_t>(end - prefix.begin()));
  }
  return prefix.substr(0, prefix.rfind('_') + 1);
}

// "second" stands for ORDER_SECOND, and "uniform", as no other value ends so, for
// INITIALISATION_GLOROT_UNIFORM; a value that is none for itself. INVALID_ARGUMENT when several
// have it.
absl::StatusOr<std::string> FullEnumName(const EnumDescriptor& type, const std::string& path,
                                         const std::string& value) {
  const std::string upper = absl::AsciiStrToUpper(value);
  for (const std::string& name : {upper, absl::StrCat(CommonPrefix(type), upper)}) {
    if (type.FindValueByName(name) != nullptr) {
      return name;
    }
  }
  std::vector<std::string> ending;
  for (int i = 0; i < type.value_count(); ++i) {
    const std::string& name = type.value(i)->name();
    if (absl::EndsWith(name, absl::StrCat("_", upper))) {
      ending.push_back(name);
    }
  }
  if (ending.size() > 1) {
    return absl::InvalidArgumentError(absl::StrCat("'", path, "': '", value, "' can be ",
                                                   absl::StrJoin(ending, " or "),
                                                   "; write one of them"));
  }
  return ending.empty() ? value : ending.front();
}

std::string Expected(const FieldDescriptor& field) {
  if (field.message_type() != nullptr) {
    const std::string fields = job::FieldNames(*field.message_type());
    return field.is_repeated()
               ? absl::StrCat("a list [{...}, {...}] of entries with the fields ", fields)
               : absl::StrCat("{...} with the fields ", fields);
  }
  const std::string value = field.enum_type() != nullptr
                                ? absl::StrCat("one of ", job::EnumNames(*field.enum_type()))
                                : absl::StrCat("a value of type ", field.type_name());
  return field.is_repeated() ? absl::StrCat("a list [A, B, ...], each ", value) : value;
}

absl::StatusOr<std::string> AsText(const FieldDescriptor& field, const std::string& path,
                                   const std::string& value) {
  if (field.enum_type() != nullptr && !field.is_repeated()) {
    return FullEnumName(*field.enum_type(), path, value);
  }
  const bool quoted = absl::StartsWith(value, "\"") || absl::StartsWith(value, "'");
  if (field.type() == FieldDescriptor::TYPE_STRING && !field.is_repeated() && !quoted) {
    return absl::StrCat("\"", absl::CEscape(value), "\"");
  }
  return value;
}

// The parser's own complaints go to the caller as one line, not to a log.
class Silent final : public google::protobuf::io::ErrorCollector {
 public:
  void AddError(int, google::protobuf::io::ColumnNumber, const std::string&) override {}
};

}  // namespace

absl::Status SetField(v1::JobSpec& spec, absl::string_view assignment) {
  const std::vector<std::string> sides = absl::StrSplit(assignment, absl::MaxSplits('=', 1));
  if (sides.size() != 2 || sides[0].empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", assignment, "' is no assignment; write path=value, e.g. iterations=200"));
  }
  const std::string& path = sides[0];
  // On a copy, so that a bad assignment changes nothing.
  v1::JobSpec changed = spec;
  Message* message = &changed;
  const std::vector<std::string> parts = absl::StrSplit(path, '.');
  for (size_t i = 0; i < parts.size(); ++i) {
    const FieldDescriptor* field = message->GetDescriptor()->FindFieldByName(parts[i]);
    if (field == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("'", path, "': ", i == 0 ? "a job" : parts[i - 1], " has no field '",
                       parts[i], "'; it has ", job::FieldNames(*message->GetDescriptor())));
    }
    if (i + 1 < parts.size()) {
      if (field->is_repeated()) {
        return absl::InvalidArgumentError(absl::StrCat(
            "'", path, "': ", parts[i], " is set as a whole: it takes ", Expected(*field)));
      }
      if (field->message_type() == nullptr) {
        return absl::InvalidArgumentError(absl::StrCat("'", path, "': ", parts[i], " takes ",
                                                       Expected(*field), " and has no fields"));
      }
      message = message->GetReflection()->MutableMessage(message, field);
      continue;
    }
    message->GetReflection()->ClearField(message, field);
    Silent silent;
    google::protobuf::TextFormat::Parser parser;
    parser.RecordErrorsTo(&silent);
    parser.SetRecursionLimit(50);
    const bool is_message = field->message_type() != nullptr;
    INNERLOOP_ASSIGN_OR_RETURN(const std::string value, AsText(*field, path, sides[1]));
    const std::string text = absl::StrCat(parts[i], is_message ? " " : ": ", value);
    // Parsed apart first: a value must not smuggle in a second field behind its own.
    const std::unique_ptr<Message> alone(message->New());
    std::vector<const FieldDescriptor*> set;
    const bool parsed = parser.MergeFromString(text, alone.get());
    alone->GetReflection()->ListFields(*alone, &set);
    if (!parsed || set.size() > 1 || (set.size() == 1 && set[0] != field) ||
        !parser.MergeFromString(text, message)) {
      return absl::InvalidArgumentError(
          absl::StrCat("'", path, "': '", sides[1], "' does not fit; it takes ", Expected(*field)));
    }
  }
  spec = std::move(changed);
  return absl::OkStatus();
}

}  // namespace innerloop
