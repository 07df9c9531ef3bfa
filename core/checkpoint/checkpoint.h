// A checkpoint: parameters, optimiser state and everything needed to go on from them, in one file.
// See proto checkpoint.proto for the form.
#pragma once

#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/support/file_system.h"
#include "core/tensor/parameter_set.h"
#include "innerloop/v1/checkpoint.pb.h"

namespace innerloop {

// In memory. `parameters` and each of `optimizer_state` (by slot name, e.g. "first_moment") have
// the layout's flat_size.
struct Checkpoint {
  v1::CheckpointMetadata metadata;
  Layout layout;
  FlatBuffer parameters;
  std::map<std::string, FlatBuffer> optimizer_state;
};

// Writes it durably to `path`; fills in metadata.layout and metadata.parameters_sha256. The digits
// of the SHA-256 are returned.
absl::StatusOr<std::string> WriteCheckpoint(const FileSystem& files, const std::string& path,
                                            Checkpoint& checkpoint);

// Reads and verifies: CRC32C, structure, every shape against the layout, parameters_sha256.
// DATA_LOSS for a damaged file, INVALID_ARGUMENT for one that is no checkpoint, NOT_FOUND; each
// names the file.
absl::StatusOr<Checkpoint> ReadCheckpoint(const std::string& path);

// "checkpoint-000000001200.safetensors": names that sort by iteration.
std::string CheckpointFileName(uint64_t iteration);

}  // namespace innerloop
