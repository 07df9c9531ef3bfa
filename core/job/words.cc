// What a specification says to people alone.
#include <algorithm>
#include <cmath>
#include <string>

#include <google/protobuf/util/message_differencer.h>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/job/job_spec.h"
#include "core/job/resolve_parts.h"
#include "core/support/status_macros.h"

namespace innerloop {
namespace {

constexpr size_t kMostName = 100;
constexpr int kMostLabels = 50;
constexpr size_t kMostKey = 63;
constexpr size_t kMostValue = 200;
constexpr size_t kMostNote = 10'000;
constexpr int kMostPublished = 100;
constexpr size_t kMostSource = 200;

// Characters, not bytes: of UTF-8, all bytes but the continuing ones.
size_t CharactersOf(absl::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

// They would do as they like with a terminal that shows them.
bool HoldsControls(absl::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) { return absl::ascii_iscntrl(c); });
}

absl::Status CheckLabel(absl::string_view key, absl::string_view value) {
  const bool good_key =
      !key.empty() && key.size() <= kMostKey && std::all_of(key.begin(), key.end(), [](char c) {
        return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '.' || c == '_' || c == '-';
      });
  if (!good_key) {
    return absl::InvalidArgumentError(absl::StrCat("labels has the key '", key.substr(0, kMostKey),
                                                   "'; a key is 1 to ", kMostKey,
                                                   " characters of a-z 0-9 . _ -"));
  }
  if (HoldsControls(value)) {
    return absl::InvalidArgumentError(
        absl::StrCat("labels['", key, "'] holds a line break or another control character"));
  }
  if (CharactersOf(value) > kMostValue) {
    return absl::InvalidArgumentError(absl::StrCat("labels['", key, "'] has ", CharactersOf(value),
                                                   " characters; at most ", kMostValue, " can be"));
  }
  return absl::OkStatus();
}

// `field` is the entry's name in messages.
absl::Status CheckPublishedResult(const std::string& field, const v1::PublishedResult& result) {
  if (CharactersOf(result.source()) > kMostSource) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, ".source has ", CharactersOf(result.source()), " characters; at most ",
                     kMostSource, " can be"));
  }
  if (!std::isfinite(result.loss())) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, ".loss is ", result.loss(), "; it must be a finite number"));
  }
  const double accuracy = result.accuracy();
  if (accuracy >= 0 && accuracy <= 1) {
    return absl::OkStatus();
  }
  const bool percent = accuracy > 1 && accuracy <= 100;
  return absl::InvalidArgumentError(
      absl::StrCat(field, ".accuracy is ", accuracy, ", which is no fraction of 0 to 1",
                   percent ? absl::StrCat("; ", accuracy / 100, " would be") : ""));
}

void ClearWords(v1::JobSpec& spec) {
  spec.clear_name();
  spec.clear_labels();
  spec.clear_note();
}

}  // namespace

absl::Status CheckWords(const v1::JobSpec& spec) {
  if (CharactersOf(spec.name()) > kMostName) {
    return absl::InvalidArgumentError("name has more than 100 characters");
  }
  if (HoldsControls(spec.name())) {
    return absl::InvalidArgumentError("name holds a line break or another control character");
  }
  if (CharactersOf(spec.note()) > kMostNote) {
    return absl::InvalidArgumentError(absl::StrCat("note has ", CharactersOf(spec.note()),
                                                   " characters; at most ", kMostNote, " can be"));
  }
  if (spec.labels_size() > kMostLabels) {
    return absl::InvalidArgumentError(absl::StrCat("labels has ", spec.labels_size(),
                                                   " entries; at most ", kMostLabels, " can be"));
  }
  for (const auto& [key, value] : spec.labels()) {
    INNERLOOP_RETURN_IF_ERROR(CheckLabel(key, value));
  }
  return absl::OkStatus();
}

absl::Status job::CheckPublished(const v1::JobSpec& spec) {
  if (spec.published_size() > kMostPublished) {
    return absl::InvalidArgumentError(absl::StrCat(
        "published has ", spec.published_size(), " entries; at most ", kMostPublished, " can be"));
  }
  for (int i = 0; i < spec.published_size(); ++i) {
    INNERLOOP_RETURN_IF_ERROR(
        CheckPublishedResult(absl::StrCat("published[", i, "]"), spec.published(i)));
  }
  return absl::OkStatus();
}

bool SameButForWords(const v1::JobSpec& a, const v1::JobSpec& b) {
  v1::JobSpec bare_a = a;
  v1::JobSpec bare_b = b;
  ClearWords(bare_a);
  ClearWords(bare_b);
  return google::protobuf::util::MessageDifferencer::Equals(bare_a, bare_b);
}

}  // namespace innerloop
