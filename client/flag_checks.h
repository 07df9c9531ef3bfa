// What flags take, for the command line's parser; each says in one line what would be right.
#pragma once

#include <cstdint>
#include <string>

#include <CLI/CLI.hpp>

#include "absl/time/time.h"

namespace innerloop::client {

// CLI11 reads -1 as the largest number.
std::string CheckSeed(const std::string& text);

// Whole numbers from `least` to `most`.
CLI::Validator WholeNumber(uint32_t least, uint32_t most);

// A time of at least `least`, given to `flag`; throws CLI::ValidationError.
absl::Duration TimeSpan(const std::string& flag, const std::string& text, absl::Duration least);

// A file or folder, which an unset variable of a shell is not.
CLI::Validator NonEmpty();

// 64 hex digits, which become lower case.
CLI::Validator Sha256Digits();

}  // namespace innerloop::client
