// Ctrl-C and its like, as calls.
#pragma once

#include <csignal>
#include <functional>
#include <thread>

namespace innerloop::client {

// Takes SIGINT, SIGTERM and SIGHUP away from their default while it lives, and calls `on_signal`
// from a thread of its own with 1 for the first, 2 for the second, and so on. Made by the thread
// that starts all others, before it starts them: they inherit the mask.
class SignalWatch {
 public:
  explicit SignalWatch(std::function<void(int count)> on_signal);
  ~SignalWatch();
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;

 private:
  void Loop(const std::function<void(int count)>& on_signal);

  sigset_t before_;
  int signals_;
  int stop_;
  std::thread thread_;
};

}  // namespace innerloop::client
