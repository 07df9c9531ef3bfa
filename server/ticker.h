#pragma once

#include <functional>
#include <thread>
#include <utility>

#include "absl/synchronization/notification.h"
#include "absl/time/time.h"

namespace innerloop::server {

// A thread that calls a function at a steady pace as long as it lives.
class Ticker {
 public:
  Ticker(absl::Duration period, std::function<void()> tick)
      : thread_([this, period, tick = std::move(tick)] {
          while (!stopping_.WaitForNotificationWithTimeout(period)) {
            tick();
          }
        }) {}
  ~Ticker() {
    stopping_.Notify();
    thread_.join();
  }
  Ticker(const Ticker&) = delete;
  Ticker& operator=(const Ticker&) = delete;

 private:
  absl::Notification stopping_;
  std::thread thread_;
};

}  // namespace innerloop::server
