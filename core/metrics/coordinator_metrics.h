// The metrics on the coordinator's page, besides kOnBothPages.
#pragma once

#include <array>

#include "core/metrics/definition.h"

namespace innerloop::metrics {

inline constexpr Label kJob = {"job", nullptr, "the job's ID"};
inline constexpr Label kJobState = {"state",
                                    "queued|running|paused|finishing|succeeded|failed|cancelled"};
inline constexpr Label kAdaptation = {"adaptation", "before|after"};
inline constexpr Label kStepAdaptation = {"adaptation", "before|during|after"};
inline constexpr Label kSchedule = {"schedule", "periodic|final"};
inline constexpr Label kSplit = {"split", "training|validation|test"};
inline constexpr Label kStep = {"step", nullptr,
                                "inner steps taken: 0 to 10, and the evaluation's last"};

// ---- a job

inline constexpr Definition kJobInfo = {
    "innerloop_job_info",
    Type::kGauge,
    "1",
    "Always 1; its labels tell what the job is.",
    {kJob,
     {"name", nullptr, "as the job's specification has it"},
     {"algorithm", nullptr, "the field that is set in `algorithm`: maml, reptile, ..."},
     {"model", nullptr, "the field that is set in `model`: mlp, conv4, ..."},
     {"tasks", nullptr, "the field that is set in `tasks`: sinusoid, episodes, ..."}}};
inline constexpr Definition kJobStateNow = {
    "innerloop_job_state",
    Type::kGauge,
    "1",
    "1 for the state that the job is in; its other states have no series.",
    {kJob, kJobState}};
inline constexpr Definition kJobWaiting = {"innerloop_job_waiting",
                                           Type::kGauge,
                                           "0 or 1",
                                           "1 while no connected worker can do the job's work.",
                                           {kJob}};
inline constexpr Definition kJobIteration = {
    "innerloop_job_iteration",
    Type::kGauge,
    "iterations",
    "Version of the job's parameters: iterations done over all restarts, skipped ones too.",
    {kJob}};
inline constexpr Definition kJobTarget = {"innerloop_job_target_iterations",
                                          Type::kGauge,
                                          "iterations",
                                          "The number of iterations that the job is to do.",
                                          {kJob}};
inline constexpr Definition kMetaLoss = {"innerloop_meta_loss",
                                         Type::kGauge,
                                         "the loss's own",
                                         "Over the last second's iterations: the objective's value "
                                         "where the job has objective.terms, else the mean query "
                                         "loss after adaptation; of pretraining the loss of the "
                                         "unadapted model.",
                                         {kJob}};
inline constexpr Definition kMetaAccuracy = {
    "innerloop_meta_accuracy",
    Type::kGauge,
    "fraction, 0..1",
    "Mean query accuracy after adaptation, over the last second's iterations. Classification only.",
    {kJob}};
inline constexpr Definition kSupportLoss = {
    "innerloop_support_loss",
    Type::kGauge,
    "the loss's own",
    "Mean support loss of training tasks. Measured in every 16th iteration.",
    {kJob, kAdaptation}};
inline constexpr Definition kQueryLoss = {
    "innerloop_query_loss",
    Type::kGauge,
    "the loss's own",
    "Mean query loss of training tasks. Before adaptation it is measured in every 16th iteration; "
    "after adaptation, in jobs without objective.terms, where it is innerloop_meta_loss.",
    {kJob, kAdaptation}};
inline constexpr Definition kUpdateNorm = {
    "innerloop_update_norm",
    Type::kGauge,
    "Euclidean norm",
    "Norm of the mean update before clipping, over the last second's iterations.",
    {kJob}};
inline constexpr Definition kLearningRate = {
    "innerloop_learning_rate",
    Type::kGauge,
    "1",
    "The outer optimiser's learning rate, over the last second's iterations.",
    {kJob}};
inline constexpr Definition kEvaluationLoss = {"innerloop_evaluation_loss",
                                               Type::kGauge,
                                               "the loss's own",
                                               "Mean loss in the latest scheduled evaluation.",
                                               {kJob, kSchedule, kSplit, kStep, kStepAdaptation}};
inline constexpr Definition kEvaluationAccuracy = {
    "innerloop_evaluation_accuracy",
    Type::kGauge,
    "fraction, 0..1",
    "Mean accuracy in the latest scheduled evaluation. Classification only.",
    {kJob, kSchedule, kSplit, kStep, kStepAdaptation}};
inline constexpr Definition kEvaluationIteration = {
    "innerloop_evaluation_iteration",
    Type::kGauge,
    "iterations",
    "Version of the parameters in the latest scheduled evaluation.",
    {kJob, kSchedule, kSplit}};
inline constexpr Definition kIterations = {
    "innerloop_iterations_total",
    Type::kCounter,
    "iterations",
    "Iterations done since the coordinator took up the job, skipped ones too.",
    {kJob}};
inline constexpr Definition kSkipped = {
    "innerloop_skipped_iterations_total",
    Type::kCounter,
    "iterations",
    "Iterations without an outer step, because their update was not finite.",
    {kJob}};
inline constexpr Definition kTasks = {"innerloop_tasks_total",
                                      Type::kCounter,
                                      "tasks",
                                      "Training tasks by what became of their result.",
                                      {kJob, {"outcome", "counted|failed|stale"}}};
inline constexpr Definition kPhases = {
    "innerloop_iteration_phase_seconds",
    Type::kHistogram,
    "seconds",
    "Time of an iteration's phases: on workers, with the way there and back; adding up after the "
    "last shard; the outer step; the whole.",
    {kJob, {"phase", "compute|reduce|outer_step|total"}}};
inline constexpr Definition kShardsInFlight = {
    "innerloop_shards_in_flight",
    Type::kGauge,
    "shards",
    "Shards of training iterations that workers have now.",
    {kJob}};
inline constexpr Definition kShardsReissued = {
    "innerloop_shards_reissued_total",
    Type::kCounter,
    "shards",
    "Shards given out again after a worker or a shard failed.",
    {kJob}};
inline constexpr Definition kCheckpointSeconds = {"innerloop_checkpoint_seconds",
                                                  Type::kGauge,
                                                  "seconds",
                                                  "Time that the last checkpoint took to write.",
                                                  {kJob}};
inline constexpr Definition kCheckpointBytes = {"innerloop_checkpoint_bytes",
                                                Type::kGauge,
                                                "bytes",
                                                "Size of the last good checkpoint.",
                                                {kJob}};
inline constexpr Definition kCheckpointTimestamp = {"innerloop_checkpoint_timestamp_seconds",
                                                    Type::kGauge,
                                                    "Unix time in seconds",
                                                    "When the last good checkpoint was written.",
                                                    {kJob}};
inline constexpr Definition kCheckpointAge = {"innerloop_checkpoint_age_seconds",
                                              Type::kGauge,
                                              "seconds",
                                              "Time since the last good checkpoint was written; "
                                              "before the first, since the job was taken up.",
                                              {kJob}};
inline constexpr Definition kCheckpointInterval = {
    "innerloop_checkpoint_interval_seconds",
    Type::kGauge,
    "seconds",
    "Most time between two checkpoints, by the job's schedule.",
    {kJob}};
inline constexpr Definition kCheckpointFailures = {"innerloop_checkpoint_failures_total",
                                                   Type::kCounter,
                                                   "checkpoints",
                                                   "Checkpoints that could not be written.",
                                                   {kJob}};

// ---- the cluster

inline constexpr Definition kJobs = {
    "innerloop_jobs", Type::kGauge, "jobs", "Jobs by state.", {kJobState}};
inline constexpr Definition kWorkers = {
    "innerloop_workers",
    Type::kGauge,
    "workers",
    "Workers by state; lost are those that went without a word, or hung, in "
    "the last 10 minutes.",
    {Label{"state", "connected|draining|lost"}}};
inline constexpr Definition kWorkersConnected = {"innerloop_workers_connected_total",
                                                 Type::kCounter, "connections",
                                                 "Connections of workers that were accepted."};
inline constexpr Definition kWorkersGone = {
    "innerloop_workers_gone_total",
    Type::kCounter,
    "connections",
    "Connections of workers that ended: the worker had said that it leaves, its stream broke, it "
    "was silent for longer than --worker-timeout, or it had a work item for longer than "
    "limits.shard_timeout_seconds.",
    {Label{"reason", "left|lost|silent|hung"}}};
inline constexpr Definition kSlots = {"innerloop_slots",
                                      Type::kGauge,
                                      "slots",
                                      "Slots of connected workers.",
                                      {Label{"state", "busy|free"}}};
inline constexpr Definition kBytesSent = {
    "innerloop_bytes_sent_total", Type::kCounter, "bytes",
    "Bytes of messages sent on workers' streams, without files that they fetch."};
inline constexpr Definition kBytesReceived = {"innerloop_bytes_received_total", Type::kCounter,
                                              "bytes",
                                              "Bytes of messages received on workers' streams."};
inline constexpr Definition kDiskFree = {
    "innerloop_state_disk_free_bytes", Type::kGauge, "bytes",
    "Free space on the disk of the state folder, as far as the coordinator may use it."};
inline constexpr Definition kDiskSize = {"innerloop_state_disk_size_bytes", Type::kGauge, "bytes",
                                         "Size of the disk of the state folder."};
inline constexpr Definition kBuildInfo = {"innerloop_build_info",
                                          Type::kGauge,
                                          "1",
                                          "Always 1; its labels tell the build.",
                                          {Label{"version", nullptr, "the coordinator's version"},
                                           Label{"grpc_version", nullptr, "gRPC's version"}}};

inline constexpr std::array kOnJobs = {&kJobInfo,
                                       &kJobStateNow,
                                       &kJobWaiting,
                                       &kJobIteration,
                                       &kJobTarget,
                                       &kMetaLoss,
                                       &kMetaAccuracy,
                                       &kSupportLoss,
                                       &kQueryLoss,
                                       &kUpdateNorm,
                                       &kLearningRate,
                                       &kEvaluationLoss,
                                       &kEvaluationAccuracy,
                                       &kEvaluationIteration,
                                       &kIterations,
                                       &kSkipped,
                                       &kTasks,
                                       &kPhases,
                                       &kShardsInFlight,
                                       &kShardsReissued,
                                       &kCheckpointSeconds,
                                       &kCheckpointBytes,
                                       &kCheckpointTimestamp,
                                       &kCheckpointAge,
                                       &kCheckpointInterval,
                                       &kCheckpointFailures};
inline constexpr std::array kOnCluster = {
    &kJobs,      &kWorkers,       &kWorkersConnected, &kWorkersGone, &kSlots,
    &kBytesSent, &kBytesReceived, &kDiskFree,         &kDiskSize,    &kBuildInfo};

}  // namespace innerloop::metrics
