// The coordinator's side of one worker's stream, as the coordinator sees it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/rpc/batch_stream.h"
#include "innerloop/v1/work.pb.h"

namespace innerloop::server {

// Queues what goes to a worker; never blocks. Thread-safe. Tests put a fake in its place.
class WorkerLink {
 public:
  virtual ~WorkerLink() = default;
  // Several calls before Flush travel together.
  virtual void Send(const v1::Instruction& instruction) = 0;
  virtual void SendBuffer(std::shared_ptr<const EncodedBuffer> buffer, uint64_t transfer) = 0;
  virtual void Flush() = 0;
  // The result that was announced as this transfer will not be asked for.
  virtual void Forget(uint64_t transfer) = 0;
  // Ends the stream (once what is queued was written, when the status is OK).
  virtual void Close(const absl::Status& reason) = 0;
};

}  // namespace innerloop::server
