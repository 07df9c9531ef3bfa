#pragma once

#include "client/commands/adapt.h"

namespace CLI {
class App;
}  // namespace CLI

namespace innerloop::client {

// Arguments of `innerloop adapt`, parsed into the options and the session's format, which outlive
// the parser.
void AddAdaptFlags(CLI::App& app, AdaptOptions& options, Session& session);

}  // namespace innerloop::client
