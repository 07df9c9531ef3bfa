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
#include "absl/time/clock.h"
#include "core/metrics/shared_metrics.h"
#include "core/metrics/worker_metrics.h"

namespace innerloop::worker {
namespace {

using prometheus::BuildCounter;
using prometheus::BuildGauge;
using prometheus::BuildHistogram;

prometheus::Counter& AddCounter(prometheus::Registry& registry,
                                const metrics::Definition& definition,
                                const prometheus::Labels& labels = {}) {
  return BuildCounter().Name(definition.name).Help(definition.help).Register(registry).Add(labels);
}
prometheus::Gauge& AddGauge(prometheus::Registry& registry, const metrics::Definition& definition,
                            const prometheus::Labels& labels = {}) {
  return BuildGauge().Name(definition.name).Help(definition.help).Register(registry).Add(labels);
}

class PrometheusMetrics : public Metrics {
 public:
  PrometheusMetrics(const Build& build, absl::Time certificate_end) {
    AddGauge(*registry_, metrics::kWorkerBuildInfo,
             {{"version", build.version},
              {"libtorch", build.libtorch},
              {"fingerprint", build.fingerprint}})
        .Set(1);
    AddGauge(*registry_, metrics::kStartTime)
        .Set(absl::ToDoubleSeconds(absl::Now() - absl::UnixEpoch()));
    AddGauge(*registry_, metrics::kCertificateEnd)
        .Set(absl::ToDoubleSeconds(certificate_end - absl::UnixEpoch()));
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
  prometheus::Gauge& connected_ = AddGauge(*registry_, metrics::kWorkerConnected);
  prometheus::Counter& reconnects_ = AddCounter(*registry_, metrics::kWorkerReconnects);
  prometheus::Gauge& slots_ = AddGauge(*registry_, metrics::kWorkerSlots);
  prometheus::Gauge& busy_ = AddGauge(*registry_, metrics::kWorkerSlotsBusy);
  prometheus::Counter& done_ = AddCounter(*registry_, metrics::kWorkerWork, {{"outcome", "done"}});
  prometheus::Counter& failed_ =
      AddCounter(*registry_, metrics::kWorkerWork, {{"outcome", "failed"}});
  prometheus::Histogram& seconds_ =
      BuildHistogram()
          .Name(metrics::kWorkerSeconds.name)
          .Help(metrics::kWorkerSeconds.help)
          .Register(*registry_)
          .Add({}, prometheus::Histogram::BucketBoundaries{1e-5, 1e-4, 2.5e-4, 1e-3, 2.5e-3, 1e-2,
                                                           2.5e-2, 0.1, 0.25, 1, 2.5, 10, 60, 600});
  prometheus::Counter& sent_ =
      AddCounter(*registry_, metrics::kWorkerBytes, {{"direction", "sent"}});
  prometheus::Counter& received_ =
      AddCounter(*registry_, metrics::kWorkerBytes, {{"direction", "received"}});
  prometheus::Gauge& parameter_bytes_ = AddGauge(*registry_, metrics::kWorkerParameterBytes);
  prometheus::Gauge& cache_bytes_ = AddGauge(*registry_, metrics::kWorkerCacheBytes);
  std::string address_;
  // Last, so that nothing is scraped while the members above go away.
  std::optional<prometheus::Exposer> exposer_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Metrics>> Metrics::Create(const std::string& listen,
                                                         const Build& build,
                                                         absl::Time certificate_end) {
  auto metrics = std::make_unique<PrometheusMetrics>(build, certificate_end);
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
