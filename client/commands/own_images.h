// A user's own examples that are images.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/commands/own_examples.h"

namespace innerloop::client {

// A folder or an archive of class folders, each with images. A class is called by its folder's
// name, or by the path where two folders are called alike.
absl::StatusOr<OwnExamples> ReadClassFolders(const v1::ModelDescription& model,
                                             const std::string& source);

// A folder, an archive, or an image file. The class of an image in a folder is the one of `classes`
// that the folder is called by; of others it is empty.
absl::StatusOr<OwnExamples> ReadImages(const v1::ModelDescription& model,
                                       const std::vector<std::string>& classes,
                                       const std::string& source);

}  // namespace innerloop::client
