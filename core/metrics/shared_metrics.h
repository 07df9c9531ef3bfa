// The metrics on the pages of both servers; the web server's own are named by prometheus-cpp.
#pragma once

#include <array>

#include "core/metrics/definition.h"

namespace innerloop::metrics {

inline constexpr Definition kStartTime = {"process_start_time_seconds", Type::kGauge,
                                          "Unix time in seconds", "When the process started."};
inline constexpr Definition kCertificateEnd = {
    "innerloop_certificate_expiry_timestamp_seconds", Type::kGauge, "Unix time in seconds",
    "When the certificate ends that the program began with; +Inf without TLS."};
inline constexpr Definition kPageBytes = {"exposer_transferred_bytes_total", Type::kCounter,
                                          "bytes", "Transferred bytes to metrics services"};
inline constexpr Definition kPageScrapes = {"exposer_scrapes_total", Type::kCounter, "scrapes",
                                            "Number of times metrics were scraped"};
inline constexpr Definition kPageSeconds = {
    "exposer_request_latencies", Type::kSummary, "microseconds",
    "Latencies of serving scrape requests, in microseconds"};

inline constexpr std::array kOnBothPages = {&kStartTime, &kCertificateEnd, &kPageBytes,
                                            &kPageScrapes, &kPageSeconds};

}  // namespace innerloop::metrics
