#include "client/flag_checks.h"

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/support/checksum.h"
#include "core/support/time_span.h"

namespace innerloop::client {

CLI::Validator WholeNumber(uint64_t least, uint64_t most) {
  return {[least, most](std::string& text) {
            uint64_t number = 0;
            if (!absl::SimpleAtoi(text, &number) || number < least || number > most) {
              return absl::StrCat("'", text, "' is no whole number from ", least, " to ", most);
            }
            text = absl::StrCat(number);
            return std::string();
          },
          ""};
}

CLI::Validator Seed() { return WholeNumber(0, UINT64_MAX); }

CLI::Validator NonEmpty() {
  return {[](std::string& text) { return text.empty() ? "no name was given" : std::string(); }, ""};
}

absl::Duration TimeSpan(const std::string& flag, const std::string& text, absl::Duration least) {
  const absl::StatusOr<absl::Duration> span = ParseTimeSpan(text);
  if (!span.ok()) {
    throw CLI::ValidationError(flag, std::string(span.status().message()));
  }
  if (*span < least) {
    throw CLI::ValidationError(
        flag, absl::StrCat("'", text, "' is too short; one that would do is 90d or 12h"));
  }
  return *span;
}

CLI::Validator Sha256Digits() {
  return {[](std::string& text) {
            std::string digits = absl::AsciiStrToLower(text);
            if (!IsSha256Hex(digits)) {
              return absl::StrCat("'", text,
                                  "' is no SHA-256: 64 hex digits, as sha256sum FILE "
                                  "prints them");
            }
            text = std::move(digits);
            return std::string();
          },
          ""};
}

}  // namespace innerloop::client
