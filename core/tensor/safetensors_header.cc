#include "core/tensor/safetensors_header.h"

#include <set>
#include <utility>

#include <nlohmann/json.hpp>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace innerloop {
namespace {

using Json = nlohmann::json;

// Receives the parser's events; each function returns whether to go on. The parser keeps no tree,
// so nesting costs nothing: it is refused at the first level that the form does not have.
class HeaderReader final : public nlohmann::json_sax<Json> {
 public:
  SafeTensorsHeader header;
  std::string error;

  bool start_object(size_t /*elements*/) override {
    switch (place_) {
      case Place::kStart:
        place_ = Place::kTop;
        return true;
      case Place::kTop:
        place_ = key_ == "__metadata__" ? Place::kMetadata : Place::kTensor;
        if (place_ == Place::kTensor) {
          header.tensors.push_back({.name = key_});
        }
        return true;
      default:
        return Unexpected("an object");
    }
  }

  bool end_object() override {
    if (place_ == Place::kTensor) {
      const SafeTensorsHeader::Tensor& tensor = header.tensors.back();
      if (fields_.size() != 3) {
        return Fail(
            absl::StrCat("tensor '", tensor.name, "' lacks one of dtype, shape and data_offsets"));
      }
      if (tensor.data_offsets.size() != 2) {
        return Fail(absl::StrCat("data_offsets of tensor '", tensor.name, "' has ",
                                 tensor.data_offsets.size(), " numbers; it takes 2"));
      }
      fields_.clear();
    }
    place_ = place_ == Place::kTop ? Place::kEnd : Place::kTop;
    return true;
  }

  bool key(std::string& name) override {
    key_ = std::move(name);
    switch (place_) {
      case Place::kTop:
        return names_.insert(key_).second || Fail(absl::StrCat("'", key_, "' is there twice"));
      case Place::kMetadata:
        return header.metadata.emplace(key_, "").second ||
               Fail(absl::StrCat("metadata '", key_, "' is there twice"));
      default:
        if (key_ != "dtype" && key_ != "shape" && key_ != "data_offsets") {
          return Fail(absl::StrCat("tensor '", header.tensors.back().name, "' has the field '",
                                   key_, "'; known: dtype, shape, data_offsets"));
        }
        return fields_.insert(key_).second ||
               Fail(absl::StrCat("tensor '", header.tensors.back().name, "' has ", key_, " twice"));
    }
  }

  bool string(std::string& value) override {
    if (place_ == Place::kMetadata) {
      header.metadata[key_] = std::move(value);
      return true;
    }
    if (place_ == Place::kTensor && key_ == "dtype") {
      header.tensors.back().type = std::move(value);
      return true;
    }
    return Unexpected("a string");
  }

  bool start_array(size_t /*elements*/) override {
    if (place_ == Place::kTensor && key_ != "dtype") {
      place_ = Place::kNumbers;
      return true;
    }
    return Unexpected("an array");
  }

  bool end_array() override {
    place_ = Place::kTensor;
    return true;
  }

  bool number_unsigned(uint64_t value) override {
    if (place_ != Place::kNumbers) {
      return Unexpected("a number");
    }
    SafeTensorsHeader::Tensor& tensor = header.tensors.back();
    (key_ == "shape" ? tensor.shape : tensor.data_offsets).push_back(value);
    return true;
  }

  bool number_integer(int64_t /*value*/) override { return Unexpected("a negative number"); }
  bool number_float(double /*value*/, const std::string& /*text*/) override {
    return Unexpected("a fraction or a number beyond 64 bits");
  }
  bool null() override { return Unexpected("a null"); }
  bool boolean(bool /*value*/) override { return Unexpected("a boolean"); }
  bool binary(Json::binary_t& /*value*/) override { return Unexpected("binary data"); }

  bool parse_error(size_t position, const std::string& /*token*/,
                   const Json::exception& /*reason*/) override {
    return Fail(absl::StrCat("the header is no JSON at its byte ", position));
  }

 private:
  enum class Place { kStart, kTop, kMetadata, kTensor, kNumbers, kEnd };

  bool Fail(std::string what) {
    error = std::move(what);
    return false;
  }
  bool Unexpected(absl::string_view what) {
    return Fail(absl::StrCat("the header has ", what, " where none belongs",
                             key_.empty() ? "" : absl::StrCat(", after '", key_, "'")));
  }

  Place place_ = Place::kStart;
  std::string key_;
  std::set<std::string> names_;
  std::set<std::string> fields_;  // of the tensor at hand
};

}  // namespace

absl::StatusOr<SafeTensorsHeader> ReadSafeTensorsHeader(absl::string_view json) {
  HeaderReader reader;
  if (!Json::sax_parse(json.begin(), json.end(), &reader)) {
    return absl::InvalidArgumentError(reader.error);
  }
  return std::move(reader.header);
}

}  // namespace innerloop
