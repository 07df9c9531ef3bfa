// What flags take, for the command line's parser; each says in one line what would be right.
#pragma once

#include <cstdint>
#include <string>

#include <CLI/CLI.hpp>

#include "absl/time/time.h"

namespace innerloop::client {

// Whole numbers from `least` to `most`, in decimal. For transform(): the parser is handed the
// number that was read, because by itself it takes 010 for eight, and -1 and what is too large for
// the largest number that there is.
CLI::Validator WholeNumber(uint64_t least, uint64_t most);
// Any seed.
CLI::Validator Seed();

// A time of at least `least`, given to `flag`; throws CLI::ValidationError.
absl::Duration TimeSpan(const std::string& flag, const std::string& text, absl::Duration least);

// A file or folder, which an unset variable of a shell is not.
CLI::Validator NonEmpty();

// 64 hex digits, which become lower case.
CLI::Validator Sha256Digits();

}  // namespace innerloop::client
