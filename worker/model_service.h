// The inside of a process that runs a user's model.
#pragma once

namespace innerloop::worker {

// As the first argument of innerloop-worker it makes such a process; the second is the most memory
// that it may take, in bytes.
inline constexpr char kModelProcessFlag[] = "--model-process";

// The descriptors that it is started with, besides its output; the data set's is no file for
// generated tasks.
inline constexpr int kModelSocket = 3;
inline constexpr int kModelFile = 4;
inline constexpr int kModelDataSet = 5;
inline constexpr int kModelLastDescriptor = kModelDataSet;

// Gives up what a model has no need of, makes the program of the job that comes first, and computes
// work items until the connection ends. Returns the exit code.
int ServeModel(const char* memory_bytes);

}  // namespace innerloop::worker
