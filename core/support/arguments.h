// What main was given, for the command line's parser.
#pragma once

#include <string>
#include <vector>

namespace innerloop {

// The arguments without the program's name, last first, as CLI11's parse takes them. `--flag=` is
// split into the flag and an empty value: CLI11 2.1 would take the next argument for its value.
std::vector<std::string> ParserArguments(int argc, const char* const* argv);

}  // namespace innerloop
