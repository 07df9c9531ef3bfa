#include "worker/metrics.h"

#include <exception>
#include <optional>

#include <prometheus/counter.h>
#include <prometheus/exposer.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace innerloop::worker {
namespace {

using prometheus::BuildCounter;
using prometheus::BuildGauge;
using prometheus::BuildHistogram;

prometheus::Counter& AddCounter(prometheus::Registry& registry, const char* name, const char* help,
                                const prometheus::Labels& labels = {}) {
  return BuildCounter().Name(name).Help(help).Register(registry).Add(labels);
}
prometheus::Gauge& AddGauge(prometheus::Registry& registry, const char* name, const char* help,
                            const prometheus::Labels& labels = {}) {
  return BuildGauge().Name(name).Help(help).Register(registry).Add(labels);
}

constexpr const char* kWorkName = "innerloop_worker_work_items_total";
constexpr const char* kWorkHelp =
    "Work items (shards, evaluation shards, initialisations) computed, by outcome.";
constexpr const char* kBytesName = "innerloop_worker_bytes_total";
constexpr const char* kBytesHelp = "Bytes of messages to and from the coordinator.";

class PrometheusMetrics : public Metrics {
 public:
  explicit PrometheusMetrics(const Build& build) {
    AddGauge(*registry_, "innerloop_worker_build_info", "Always 1; its labels tell the build.",
             {{"version", build.version},
              {"libtorch", build.libtorch},
              {"fingerprint", build.fingerprint}})
        .Set(1);
  }

  void Serve(const std::string& listen) {
    exposer_.emplace(listen, /*num_threads=*/1);
    exposer_->RegisterCollectable(registry_);
    address_ =
        absl::StrCat(listen.substr(0, listen.rfind(':')), ":", exposer_->GetListeningPorts().at(0));
  }

  std::string address() const override { return address_; }
  void OnConnected(bool connected) override { connected_.Set(connected ? 1 : 0); }
  void OnReconnect() override { reconnects_.Increment(); }
  void OnSlots(int slots) override { slots_.Set(slots); }
  void OnSlotBusy(int change) override { busy_.Increment(change); }
  void OnWork(bool ok, absl::Duration computing) override {
    (ok ? done_ : failed_).Increment();
    seconds_.Observe(absl::ToDoubleSeconds(computing));
  }
  void OnSent(uint64_t bytes) override { sent_.Increment(static_cast<double>(bytes)); }
  void OnReceived(uint64_t bytes) override { received_.Increment(static_cast<double>(bytes)); }
  void OnParameterBytes(int64_t change) override {
    parameter_bytes_.Increment(static_cast<double>(change));
  }
  void SetDataSetCacheBytes(uint64_t bytes) override {
    cache_bytes_.Set(static_cast<double>(bytes));
  }

 private:
  const std::shared_ptr<prometheus::Registry> registry_ = std::make_shared<prometheus::Registry>();
  prometheus::Gauge& connected_ = AddGauge(*registry_, "innerloop_worker_connected",
                                           "1 while the coordinator has accepted this worker.");
  prometheus::Counter& reconnects_ =
      AddCounter(*registry_, "innerloop_worker_reconnects_total",
                 "Attempts to connect to the coordinator after the first.");
  prometheus::Gauge& slots_ =
      AddGauge(*registry_, "innerloop_worker_slots", "Compute threads of this worker.");
  prometheus::Gauge& busy_ =
      AddGauge(*registry_, "innerloop_worker_slots_busy", "Slots that hold a work item.");
  prometheus::Counter& done_ = AddCounter(*registry_, kWorkName, kWorkHelp, {{"outcome", "done"}});
  prometheus::Counter& failed_ =
      AddCounter(*registry_, kWorkName, kWorkHelp, {{"outcome", "failed"}});
  prometheus::Histogram& seconds_ =
      BuildHistogram()
          .Name("innerloop_worker_compute_seconds")
          .Help("Seconds that a work item computed.")
          .Register(*registry_)
          .Add({}, prometheus::Histogram::BucketBoundaries{1e-5, 1e-4, 2.5e-4, 1e-3, 2.5e-3, 1e-2,
                                                           2.5e-2, 0.1, 0.25, 1, 2.5, 10, 60, 600});
  prometheus::Counter& sent_ =
      AddCounter(*registry_, kBytesName, kBytesHelp, {{"direction", "sent"}});
  prometheus::Counter& received_ =
      AddCounter(*registry_, kBytesName, kBytesHelp, {{"direction", "received"}});
  prometheus::Gauge& parameter_bytes_ =
      AddGauge(*registry_, "innerloop_worker_parameter_bytes",
               "Bytes of parameters held, over all jobs and versions.");
  prometheus::Gauge& cache_bytes_ = AddGauge(*registry_, "innerloop_worker_data_set_cache_bytes",
                                             "Bytes of data sets in the cache folder.");
  std::string address_;
  // Last, so that nothing is scraped while the members above go away.
  std::optional<prometheus::Exposer> exposer_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Metrics>> Metrics::Create(const std::string& listen,
                                                         const Build& build) {
  auto metrics = std::make_unique<PrometheusMetrics>(build);
  if (!listen.empty()) {
    try {
      metrics->Serve(listen);
    } catch (const std::exception&) {
      return absl::UnavailableError(absl::StrCat("cannot serve metrics on ", listen,
                                                 ": the address is in use or not this machine's"));
    }
  }
  return metrics;
}

}  // namespace innerloop::worker
