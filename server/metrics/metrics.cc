#include "server/metrics/metrics.h"

#include <CivetServer.h>

#include <array>
#include <filesystem>
#include <map>
#include <system_error>
#include <utility>
#include <vector>

#include <grpcpp/grpcpp.h>
#include <prometheus/collectable.h>
#include <prometheus/exposer.h>

#include "absl/base/thread_annotations.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "core/metrics/coordinator_metrics.h"
#include "core/metrics/shared_metrics.h"
#include "core/support/version.h"
#include "server/jobs/job_machine.h"
#include "server/metrics/exposition.h"
#include "server/metrics/job_series.h"

namespace innerloop::server {
namespace {

constexpr std::array<v1::JobState, 7> kStates = {
    v1::JOB_STATE_QUEUED,    v1::JOB_STATE_RUNNING, v1::JOB_STATE_PAUSED,   v1::JOB_STATE_FINISHING,
    v1::JOB_STATE_SUCCEEDED, v1::JOB_STATE_FAILED,  v1::JOB_STATE_CANCELLED};
constexpr std::array<const char*, 4> kReasons = {"left", "lost", "silent", "hung"};

double UnixSeconds(absl::Time time) { return absl::ToDoubleSeconds(time - absl::UnixEpoch()); }

// What the page holds. Read by the HTTP server's threads, written by the coordinator's.
// Thread-safe.
class Page final : public prometheus::Collectable {
 public:
  Page(std::string state_dir, absl::Time certificate_end, const Clock& clock)
      : state_dir_(std::move(state_dir)),
        clock_(clock),
        started_(UnixSeconds(clock.Now())),
        certificate_end_(UnixSeconds(certificate_end)) {}

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
    const absl::MutexLock lock(&mutex_);
    job_states_[state] = count;
  }

  void AddConnected() { connected_.Increment(); }
  void AddGone(Gone reason) { gone_[static_cast<size_t>(reason)].Increment(); }
  void AddBytes(uint64_t sent, uint64_t received) {
    sent_.Increment(static_cast<double>(sent));
    received_.Increment(static_cast<double>(received));
  }

  std::vector<prometheus::MetricFamily> Collect() const override {
    Families families;
    std::map<std::string, std::shared_ptr<JobSeries>> jobs;
    {
      const absl::MutexLock lock(&mutex_);
      jobs = jobs_;
      for (const v1::JobState state : kStates) {
        const auto count = job_states_.find(state);
        families.Add(metrics::kJobs, count == job_states_.end() ? 0 : count->second,
                     {absl::AsciiStrToLower(JobMachine::Name(state))});
      }
      for (const auto& [state, count] : workers_) {
        families.Add(metrics::kWorkers, count, {state});
      }
      for (const auto& [state, count] : slots_) {
        families.Add(metrics::kSlots, count, {state});
      }
    }
    for (const auto& [id, series] : jobs) {
      series->AddTo(id, families);
    }
    families.Add(metrics::kWorkersConnected, connected_.Value());
    for (size_t i = 0; i < gone_.size(); ++i) {
      families.Add(metrics::kWorkersGone, gone_[i].Value(), {kReasons[i]});
    }
    families.Add(metrics::kBytesSent, sent_.Value());
    families.Add(metrics::kBytesReceived, received_.Value());
    std::error_code error;
    const std::filesystem::space_info disk = std::filesystem::space(state_dir_, error);
    if (!error) {
      families.Add(metrics::kDiskFree, static_cast<double>(disk.available));
      families.Add(metrics::kDiskSize, static_cast<double>(disk.capacity));
    }
    families.Add(metrics::kBuildInfo, 1, {kVersion, grpc::Version()});
    families.Add(metrics::kStartTime, started_);
    families.Add(metrics::kCertificateEnd, certificate_end_);
    return std::move(families).Take();
  }

 private:
  const std::string state_dir_;
  const Clock& clock_;
  const double started_;
  const double certificate_end_;
  prometheus::Counter sent_, received_, connected_;
  std::array<prometheus::Counter, kReasons.size()> gone_;

  mutable absl::Mutex mutex_;
  std::map<std::string, std::shared_ptr<JobSeries>> jobs_ ABSL_GUARDED_BY(mutex_);
  std::map<v1::JobState, double> job_states_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, double> workers_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, double> slots_ ABSL_GUARDED_BY(mutex_);
};

class ServedMetrics final : public Metrics {
 public:
  ServedMetrics(const std::string& state_dir, absl::Time certificate_end, const Clock& clock)
      : page_(std::make_shared<Page>(state_dir, certificate_end, clock)) {}

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
  void OnWorkerConnected() override { page_->AddConnected(); }
  void OnWorkerGone(Gone reason) override { page_->AddGone(reason); }
  void OnBytes(uint64_t sent, uint64_t received) override { page_->AddBytes(sent, received); }
  void OnJobs(v1::JobState state, int count) override { page_->SetJobs(state, count); }

 private:
  std::shared_ptr<Page> page_;
  std::unique_ptr<prometheus::Exposer> exposer_;
  std::string address_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Metrics>> Metrics::Create(const std::string& listen,
                                                         const std::string& state_dir,
                                                         absl::Time certificate_end,
                                                         const Clock& clock) {
  auto metrics = std::make_unique<ServedMetrics>(state_dir, certificate_end, clock);
  if (!listen.empty()) {
    if (absl::Status served = metrics->Serve(listen); !served.ok()) {
      return served;
    }
  }
  return metrics;
}

}  // namespace innerloop::server
