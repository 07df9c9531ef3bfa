#include "worker/model_channel.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/support/status_macros.h"

namespace innerloop::worker {
namespace {

// Specifications are at most 2 MiB; layouts and errors are smaller.
constexpr uint64_t kMaxMessageBytes = uint64_t{16} << 20;
constexpr size_t kMaxLine = 1000;

}  // namespace

ModelChannel::ModelChannel(int socket, int output,
                           std::function<void(absl::string_view line)> on_line)
    : socket_(socket), output_(output), on_line_(std::move(on_line)) {}

ModelChannel::~ModelChannel() {
  close(socket_);
  if (output_ >= 0) {
    close(output_);
  }
}

bool ModelChannel::ReadOutput() {
  char bytes[4096];
  const ssize_t count = read(output_, bytes, sizeof(bytes));
  if (count < 0 && (errno == EINTR || errno == EAGAIN)) {
    return true;
  }
  if (count <= 0) {
    close(output_);
    output_ = -1;
    return false;
  }
  pending_.append(bytes, static_cast<size_t>(count));
  size_t end = 0;
  while ((end = pending_.find('\n')) != std::string::npos || pending_.size() > kMaxLine) {
    const size_t length = std::min({end, pending_.size(), kMaxLine});
    on_line_(absl::string_view(pending_).substr(0, length));
    pending_.erase(0, length == end ? end + 1 : length);
  }
  return true;
}

void ModelChannel::DrainOutput() {
  while (output_ >= 0 && ReadOutput()) {
  }
}

absl::Status ModelChannel::Await(short events, absl::Time deadline) {
  while (true) {
    pollfd polled[] = {{socket_, events, 0}, {output_, POLLIN, 0}};
    const int64_t left =
        deadline == absl::InfiniteFuture()
            ? -1
            : std::max<int64_t>(0, absl::ToInt64Milliseconds(deadline - absl::Now()) + 1);
    const int ready =
        poll(polled, output_ < 0 ? 1 : 2,
             static_cast<int>(std::min<int64_t>(left, std::numeric_limits<int>::max())));
    if (ready < 0 && errno != EINTR) {
      return absl::ErrnoToStatus(errno, "cannot wait for the model's process");
    }
    if (ready > 0 && output_ >= 0 && polled[1].revents != 0) {
      ReadOutput();
    }
    if (ready > 0 && polled[0].revents != 0) {
      return absl::OkStatus();
    }
    // Also when its output keeps coming.
    if (absl::Now() >= deadline) {
      return absl::DeadlineExceededError("out of time");
    }
  }
}

absl::Status ModelChannel::Write(const void* data, uint64_t size, absl::Time deadline) {
  const auto* bytes = static_cast<const char*>(data);
  while (size > 0) {
    INNERLOOP_RETURN_IF_ERROR(Await(POLLOUT, deadline));
    const ssize_t sent = send(socket_, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno != EINTR && errno != EAGAIN) {
      return absl::UnavailableError(std::strerror(errno));
    }
    const auto moved = static_cast<uint64_t>(std::max<ssize_t>(sent, 0));
    bytes += moved;
    size -= moved;
  }
  return absl::OkStatus();
}

absl::Status ModelChannel::Read(void* data, uint64_t size, absl::Time deadline) {
  auto* bytes = static_cast<char*>(data);
  while (size > 0) {
    INNERLOOP_RETURN_IF_ERROR(Await(POLLIN, deadline));
    const ssize_t got = recv(socket_, bytes, size, MSG_DONTWAIT);
    if (got == 0) {
      return absl::UnavailableError("the other end closed the connection");
    }
    if (got < 0 && errno != EINTR && errno != EAGAIN) {
      return absl::UnavailableError(std::strerror(errno));
    }
    const auto moved = static_cast<uint64_t>(std::max<ssize_t>(got, 0));
    bytes += moved;
    size -= moved;
  }
  return absl::OkStatus();
}

absl::Status ModelChannel::Send(const google::protobuf::MessageLite& message,
                                const FlatBuffer* buffer, int64_t peak_bytes, absl::Time deadline) {
  const std::string serialised = message.SerializeAsString();
  const auto floats = static_cast<uint64_t>(buffer == nullptr ? 0 : buffer->size());
  const ModelHeader header{serialised.size(), floats * sizeof(float), peak_bytes};
  INNERLOOP_RETURN_IF_ERROR(Write(&header, sizeof(header), deadline));
  INNERLOOP_RETURN_IF_ERROR(Write(serialised.data(), serialised.size(), deadline));
  return floats == 0 ? absl::OkStatus() : Write(buffer->data(), header.buffer_bytes, deadline);
}

absl::Status ModelChannel::Receive(google::protobuf::MessageLite& message, FlatBuffer& buffer,
                                   int64_t most_floats, int64_t& peak_bytes, absl::Time deadline) {
  ModelHeader header;
  INNERLOOP_RETURN_IF_ERROR(Read(&header, sizeof(header), deadline));
  if (header.message_bytes > kMaxMessageBytes ||
      header.buffer_bytes > static_cast<uint64_t>(most_floats) * sizeof(float) ||
      header.buffer_bytes % sizeof(float) != 0) {
    return absl::InternalError(absl::StrCat("a message of ", header.message_bytes, " and ",
                                            header.buffer_bytes, " bytes came from the other end"));
  }
  std::string serialised(header.message_bytes, '\0');
  INNERLOOP_RETURN_IF_ERROR(Read(serialised.data(), serialised.size(), deadline));
  if (!message.ParseFromString(serialised)) {
    return absl::InternalError("what came from the other end is no message");
  }
  peak_bytes = header.peak_bytes;
  buffer = FlatBuffer();
  if (header.buffer_bytes > 0) {
    buffer = FlatBuffer(static_cast<int64_t>(header.buffer_bytes / sizeof(float)));
    INNERLOOP_RETURN_IF_ERROR(Read(buffer.data(), header.buffer_bytes, deadline));
  }
  return absl::OkStatus();
}

}  // namespace innerloop::worker
