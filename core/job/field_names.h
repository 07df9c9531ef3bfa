// What is known, for messages about fields and values that are not. Private to core/job.
#pragma once

#include <string>

#include <google/protobuf/descriptor.h>

#include "absl/strings/string_view.h"

namespace innerloop::job {

// "sgd, adam": a message's fields.
std::string FieldNames(const google::protobuf::Descriptor& type);
// "ORDER_SECOND, ORDER_FIRST": all values but that for "unspecified".
std::string EnumNames(const google::protobuf::EnumDescriptor& type);

// What protobuf's parsers say of a job's text or JSON, in this project's words, with the known
// fields or values where one is unknown; what is not understood stays as it is.
std::string ExplainTextError(absl::string_view error);
std::string ExplainJsonError(absl::string_view error);

}  // namespace innerloop::job
