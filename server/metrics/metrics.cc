#include "server/metrics/metrics.h"

#include <CivetServer.h>

#include <map>
#include <utility>
#include <vector>

#include <grpcpp/grpcpp.h>
#include <prometheus/collectable.h>
#include <prometheus/exposer.h>

#include "absl/base/thread_annotations.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/mutex.h"
#include "core/support/version.h"
#include "server/metrics/job_series.h"

namespace innerloop::server {
namespace {

using prometheus::MetricType;

// What the page holds. Read by the HTTP server's threads, written by the coordinator's.
// Thread-safe.
class Page final : public prometheus::Collectable {
 public:
  explicit Page(const Clock& clock)
      : clock_(clock), started_(absl::ToDoubleSeconds(clock.Now() - absl::UnixEpoch())) {}

  std::shared_ptr<JobMetrics> ForJob(const std::string& job_id) {
    const absl::MutexLock lock(&mutex_);
    std::shared_ptr<JobSeries>& series = jobs_[job_id];
    if (series == nullptr) {
      series = std::make_shared<JobSeries>(clock_);
    }
    return series;
  }

  void Remove(const std::string& job_id) {
    const absl::MutexLock lock(&mutex_);
    jobs_.erase(job_id);
  }

  void SetWorkers(std::map<std::string, double> workers, std::map<std::string, double> slots) {
    const absl::MutexLock lock(&mutex_);
    workers_ = std::move(workers);
    slots_ = std::move(slots);
  }

  void SetJobs(v1::JobState state, int count) {
    const std::string name =
        absl::AsciiStrToLower(absl::StripPrefix(v1::JobState_Name(state), "JOB_STATE_"));
    const absl::MutexLock lock(&mutex_);
    job_states_[name] = count;
  }

  void AddBytes(uint64_t sent, uint64_t received) {
    sent_.Increment(static_cast<double>(sent));
    received_.Increment(static_cast<double>(received));
  }

  std::vector<prometheus::MetricFamily> Collect() const override {
    std::vector<prometheus::MetricFamily> families;
    const auto by_state = [&](const char* name, const char* help,
                              const std::map<std::string, double>& values) {
      FamilyBuilder family(name, help, MetricType::Gauge);
      for (const auto& [state, value] : values) {
        family.Add(value, {{"state", state}});
      }
      std::move(family).FinishInto(families);
    };
    const auto single = [&](const char* name, const char* help, MetricType type, double value,
                            LabelList labels) {
      FamilyBuilder family(name, help, type);
      family.Add(value, std::move(labels));
      std::move(family).FinishInto(families);
    };
    std::map<std::string, std::shared_ptr<JobSeries>> jobs;
    {
      const absl::MutexLock lock(&mutex_);
      jobs = jobs_;
      by_state("innerloop_jobs", "Jobs by state.", job_states_);
      by_state("innerloop_workers", "Workers by state; lost ones of the last minutes.", workers_);
      by_state("innerloop_slots", "Slots of connected workers.", slots_);
    }
    JobFamilies job_families;
    for (const auto& [id, series] : jobs) {
      series->AddTo(id, job_families);
    }
    std::move(job_families).FinishInto(families);
    single("innerloop_bytes_sent_total", "Bytes sent to workers.", MetricType::Counter,
           sent_.Value(), {});
    single("innerloop_bytes_received_total", "Bytes received from workers.", MetricType::Counter,
           received_.Value(), {});
    single("innerloop_build_info", "Versions of the coordinator.", MetricType::Gauge, 1,
           {{"version", kVersion}, {"grpc_version", grpc::Version()}});
    single("process_start_time_seconds", "When the coordinator started, in Unix time.",
           MetricType::Gauge, started_, {});
    return families;
  }

 private:
  const Clock& clock_;
  const double started_;
  prometheus::Counter sent_, received_;

  mutable absl::Mutex mutex_;
  std::map<std::string, std::shared_ptr<JobSeries>> jobs_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, double> job_states_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, double> workers_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, double> slots_ ABSL_GUARDED_BY(mutex_);
};

class ServedMetrics final : public Metrics {
 public:
  explicit ServedMetrics(const Clock& clock) : page_(std::make_shared<Page>(clock)) {}

  absl::Status Serve(const std::string& listen) {
    const size_t colon = listen.rfind(':');
    if (colon == std::string::npos) {
      return absl::InvalidArgumentError(
          absl::StrCat("the address for metrics is '", listen, "'; it should be HOST:PORT"));
    }
    const std::string host = listen.substr(0, colon);
    // The web server takes addresses only.
    const std::string address =
        absl::StrCat(host == "localhost" ? "127.0.0.1" : host, listen.substr(colon));
    try {
      exposer_ = std::make_unique<prometheus::Exposer>(address);
    } catch (const CivetException& error) {
      return absl::UnavailableError(
          absl::StrCat("cannot serve metrics on ", listen,
                       ": the port is taken, or the address is not this machine's"));
    }
    exposer_->RegisterCollectable(page_);
    address_ = absl::StrCat(host, ":", exposer_->GetListeningPorts().front());
    return absl::OkStatus();
  }

  std::string address() const override { return address_; }
  std::shared_ptr<JobMetrics> ForJob(const std::string& job_id) override {
    return page_->ForJob(job_id);
  }
  void Remove(const std::string& job_id) override { page_->Remove(job_id); }
  void OnWorkers(int connected, int draining, int lost, int slots, int busy_slots) override {
    page_->SetWorkers({{"connected", connected}, {"draining", draining}, {"lost", lost}},
                      {{"busy", busy_slots}, {"free", slots - busy_slots}});
  }
  void OnBytes(uint64_t sent, uint64_t received) override { page_->AddBytes(sent, received); }
  void OnJobs(v1::JobState state, int count) override { page_->SetJobs(state, count); }

 private:
  std::shared_ptr<Page> page_;
  std::unique_ptr<prometheus::Exposer> exposer_;
  std::string address_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Metrics>> Metrics::Create(const std::string& listen,
                                                         const Clock& clock) {
  auto metrics = std::make_unique<ServedMetrics>(clock);
  if (!listen.empty()) {
    if (absl::Status served = metrics->Serve(listen); !served.ok()) {
      return served;
    }
  }
  return metrics;
}

}  // namespace innerloop::server
