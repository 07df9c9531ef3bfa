// Messages between a worker and a process that runs a user's model.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include <google/protobuf/message_lite.h>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/tensor/parameter_set.h"

namespace innerloop::worker {

// Before each message. Both ends are the same program on the same machine.
struct ModelHeader {
  uint64_t message_bytes = 0;
  // Of the flat buffer that follows the message.
  uint64_t buffer_bytes = 0;
  // From the process: peak memory of its computing, estimated with the first answer, measured with
  // later ones; -1 when unknown.
  int64_t peak_bytes = 0;
};

// One end of a connection. One thread only.
class ModelChannel {
 public:
  // Takes `socket` over. `output` is read while the channel waits, and passed on line by line; -1:
  // none.
  ModelChannel(int socket, int output, std::function<void(absl::string_view line)> on_line);
  ~ModelChannel();
  ModelChannel(const ModelChannel&) = delete;
  ModelChannel& operator=(const ModelChannel&) = delete;

  // Each waits until `deadline` at most (DEADLINE_EXCEEDED). UNAVAILABLE: the other end is gone.
  absl::Status Send(const google::protobuf::MessageLite& message, const FlatBuffer* buffer,
                    int64_t peak_bytes, absl::Time deadline);
  // `buffer` is filled when one came, of `most_floats` values at most. INTERNAL for more.
  absl::Status Receive(google::protobuf::MessageLite& message, FlatBuffer& buffer,
                       int64_t most_floats, int64_t& peak_bytes, absl::Time deadline);
  // What the other end still wrote before it ended.
  void DrainOutput();

 private:
  absl::Status Await(short events, absl::Time deadline);
  absl::Status Write(const void* data, uint64_t size, absl::Time deadline);
  absl::Status Read(void* data, uint64_t size, absl::Time deadline);
  // False at its end.
  bool ReadOutput();

  const int socket_;
  int output_;
  const std::function<void(absl::string_view line)> on_line_;
  std::string pending_;
};

}  // namespace innerloop::worker
