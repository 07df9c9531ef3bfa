// Shell completion, made from the parser itself so that it cannot be stale.
#pragma once

#include <string>

#include <CLI/App.hpp>

namespace innerloop::client {

// A script for bash: the subcommands and flags at each place, file names where a flag or argument
// wants a value.
std::string BashCompletion(const CLI::App& root);

}  // namespace innerloop::client
