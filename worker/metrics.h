// What a worker shows to Prometheus; core/metrics/worker_metrics.h defines the series.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace innerloop::worker {

// Cheap (atomics), except for SetDataSetCacheBytes. Thread-safe.
class Metrics {
 public:
  struct Build {
    std::string version;
    std::string libtorch;
    std::string fingerprint;
  };
  // Serves `listen` ("host:port", port 0: any; empty: nothing is served). UNAVAILABLE names the
  // address when it cannot be bound.
  // `certificate_end`: of the worker's certificate.
  static absl::StatusOr<std::unique_ptr<Metrics>> Create(
      const std::string& listen, const Build& build,
      absl::Time certificate_end = absl::InfiniteFuture());
  virtual ~Metrics() = default;
  // host:port that is served; empty when none is.
  virtual std::string address() const = 0;

  virtual void OnConnected(bool connected) = 0;
  virtual void OnReconnect() = 0;
  virtual void OnSlots(int slots) = 0;
  virtual void OnSlotBusy(int change) = 0;
  virtual void OnWork(bool ok, absl::Duration computing) = 0;
  virtual void OnSent(uint64_t bytes) = 0;
  virtual void OnReceived(uint64_t bytes) = 0;
  virtual void OnParameterBytes(int64_t change) = 0;
  virtual void SetDataSetCacheBytes(uint64_t bytes) = 0;
};

}  // namespace innerloop::worker
