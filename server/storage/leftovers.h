#pragma once

#include <string>

namespace innerloop::server {

// Removes what a coordinator that was killed left half-done in its state folder: checkpoints that
// were being written, and those that were being uploaded. Uploads of data sets and models stay,
// since they go on. Called by the state store when it has locked the folder: nobody writes there.
void RemoveLeftovers(const std::string& state_dir);

}  // namespace innerloop::server
