// The metrics on a worker's page, besides kOnBothPages.
#pragma once

#include <array>

#include "core/metrics/definition.h"

namespace innerloop::metrics {

inline constexpr Definition kWorkerBuildInfo = {
    "innerloop_worker_build_info",
    Type::kGauge,
    "1",
    "Always 1; its labels tell the build.",
    {Label{"version", nullptr, "the worker's version"},
     Label{"libtorch", nullptr, "LibTorch's version"},
     Label{"fingerprint", nullptr, "the numerics fingerprint"}}};
inline constexpr Definition kWorkerConnected = {
    "innerloop_worker_connected", Type::kGauge, "0 or 1",
    "1 while the coordinator has accepted this worker."};
inline constexpr Definition kWorkerReconnects = {
    "innerloop_worker_reconnects_total", Type::kCounter, "attempts",
    "Attempts to connect to the coordinator after the first."};
inline constexpr Definition kWorkerSlots = {"innerloop_worker_slots", Type::kGauge, "slots",
                                            "Compute threads of this worker."};
inline constexpr Definition kWorkerSlotsBusy = {"innerloop_worker_slots_busy", Type::kGauge,
                                                "slots", "Slots that hold a work item."};
inline constexpr Definition kWorkerWork = {
    "innerloop_worker_work_items_total",
    Type::kCounter,
    "work items",
    "Work items (shards, evaluation shards, initialisations, adaptations) computed.",
    {Label{"outcome", "done|failed"}}};
inline constexpr Definition kWorkerSeconds = {"innerloop_worker_compute_seconds", Type::kHistogram,
                                              "seconds", "Time that a work item computed."};
inline constexpr Definition kWorkerBytes = {
    "innerloop_worker_bytes_total",
    Type::kCounter,
    "bytes",
    "Bytes of messages on the stream to and from the coordinator, without "
    "files that are fetched.",
    {Label{"direction", "sent|received"}}};
inline constexpr Definition kWorkerParameterBytes = {
    "innerloop_worker_parameter_bytes", Type::kGauge, "bytes",
    "Parameters held, over all jobs and versions."};
inline constexpr Definition kWorkerCacheBytes = {
    "innerloop_worker_data_set_cache_bytes", Type::kGauge, "bytes",
    "Data sets and users' models in the cache folder."};

inline constexpr std::array kOnWorker = {
    &kWorkerBuildInfo,      &kWorkerConnected, &kWorkerReconnects, &kWorkerSlots,
    &kWorkerSlotsBusy,      &kWorkerWork,      &kWorkerSeconds,    &kWorkerBytes,
    &kWorkerParameterBytes, &kWorkerCacheBytes};

}  // namespace innerloop::metrics
