# How the coordinator and the workers are.
include "layout";

def by_job(expr; more): by_job(expr; more; "");

def dashboard: board("innerloop-fleet"; "Fleet"; "How the coordinator and the workers are: slots, shards, bytes, restarts, disk, checkpoints.";
  [];
  [ row("Now"),
    numbers("Workers connected"; "none"; 4; "Workers that the coordinator has accepted.";
      [ query("sum(innerloop_workers{state=\"connected\"})"; "workers") ]),
    numbers("Slots busy"; "percentunit"; 4; "Share of the connected workers' slots that have work.";
      [ query("sum(innerloop_slots{state=\"busy\"}) / sum(innerloop_slots)"; "busy") ]),
    numbers("Jobs waiting for workers"; "none"; 4; "Jobs whose work no connected worker can do.";
      [ query("sum(innerloop_job_waiting) or vector(0)"; "jobs") ]),
    numbers("Disk free"; "percentunit"; 4; "Free share of the disk of the state folder.";
      [ query("innerloop_state_disk_free_bytes / innerloop_state_disk_size_bytes"; "{{instance}}") ]),
    numbers("Alerts firing"; "none"; 4; "Alerts of Innerloop that fire now.";
      [ query("count(ALERTS{alertname=~\"Innerloop.*\", alertstate=\"firing\"}) or vector(0)"; "alerts") ]),
    numbers("Coordinator up for"; "s"; 4; "Time since the coordinator started.";
      [ query("time() - process_start_time_seconds{job=\"innerloop-coordinator\"}"; "{{instance}}") ]),

    row("Workers"),
    stacked("Workers by state"; "none"; 8; "Lost ones are those of the last ten minutes, without those that had said that they leave.";
      [ query("sum by (state) (innerloop_workers)"; "{{state}}") ]),
    stacked("Slots"; "none"; 8; "Compute threads of the connected workers.";
      [ query("sum by (state) (innerloop_slots)"; "{{state}}") ]),
    stacked("Jobs by state"; "none"; 8; "All jobs that the coordinator knows, by state.";
      [ query("sum by (state) (innerloop_jobs)"; "{{state}}") ]),
    lines("Connections that began and ended"; "none"; 8; "Connections of workers to the coordinator in the last five minutes. A worker left after it had drained; it was lost when its stream broke, silent when it gave no sign of life, hung when a shard took it longer than the job allows.";
      [ query("sum(increase(innerloop_workers_connected_total[5m]))"; "connected"),
        query("sum by (reason) (increase(innerloop_workers_gone_total[5m]))"; "{{reason}}") ]),
    lines("Restarts"; "none"; 8; "How often the process behind an address was started anew in the last 15 minutes.";
      [ query("changes(process_start_time_seconds{job=~\"innerloop-.*\"}[15m])"; "{{job}} {{instance}}") ]),
    lines("Attempts to reconnect"; "none"; 8; "Attempts of each worker to connect to the coordinator, beyond its first, in the last five minutes.";
      [ query("increase(innerloop_worker_reconnects_total[5m])"; "{{instance}}") ]),

    row("Work"),
    stacked("Shards in flight"; "none"; 8; "Shards of training iterations that workers have, by job.";
      [ by_job("innerloop_shards_in_flight"; "") ]),
    lines("Shards given out again"; "none"; 8; "In the last five minutes, after a worker or a shard failed, by job.";
      [ by_job("increase(innerloop_shards_reissued_total[5m])"; "") ]),
    stacked("Tasks per second by outcome"; "suffix: tasks/s"; 8; "Training tasks whose result counted, whose shard failed, and whose result came too late to count.";
      [ query("sum by (outcome) (rate(innerloop_tasks_total[$__rate_interval]))"; "{{outcome}}") ]),
    stacked("Seconds by phase"; "suffix: s/s"; 8; "Time that all jobs' iterations spend in each phase, per second.";
      [ query("sum by (phase) (rate(innerloop_iteration_phase_seconds_sum{phase!=\"total\"}[$__rate_interval]))"; "{{phase}}") ]),
    lines("Duration of an iteration"; "s"; 8; "Median and 95th percentile over all jobs' iterations.";
      [ query("histogram_quantile(0.5, sum by (le) (rate(innerloop_iteration_phase_seconds_bucket{phase=\"total\"}[$__rate_interval])))"; "median"),
        query("histogram_quantile(0.95, sum by (le) (rate(innerloop_iteration_phase_seconds_bucket{phase=\"total\"}[$__rate_interval])))"; "95 %") ]),
    lines("Seconds of a work item by worker"; "s"; 8; "Mean time that a work item computed. A worker far above the others slows every iteration.";
      [ query("rate(innerloop_worker_compute_seconds_sum[$__rate_interval]) / rate(innerloop_worker_compute_seconds_count[$__rate_interval])"; "{{instance}}") ]),
    stacked("Work items by worker"; "suffix: items/s"; 12; "Work items computed by each worker.";
      [ query("sum by (instance) (rate(innerloop_worker_work_items_total{outcome=\"done\"}[$__rate_interval]))"; "{{instance}}") ]),
    lines("Work items that failed"; "none"; 12; "In the last five minutes, by worker.";
      [ query("increase(innerloop_worker_work_items_total{outcome=\"failed\"}[5m])"; "{{instance}}") ]),

    row("Bytes"),
    lines("Coordinator's traffic"; "Bps"; 8; "Messages between the coordinator and all workers.";
      [ query("rate(innerloop_bytes_sent_total[$__rate_interval])"; "sent"),
        query("rate(innerloop_bytes_received_total[$__rate_interval])"; "received") ]),
    lines("Workers' traffic"; "Bps"; 8; "Messages between each worker and the coordinator.";
      [ query("rate(innerloop_worker_bytes_total[$__rate_interval])"; "{{instance}} {{direction}}") ]),
    lines("Bytes held by workers"; "bytes"; 8; "Parameters in memory, and data sets in the cache folder.";
      [ query("innerloop_worker_parameter_bytes"; "{{instance}} parameters"),
        query("innerloop_worker_data_set_cache_bytes"; "{{instance}} data sets") ]),

    row("Durability"),
    lines("Age of the last checkpoint"; "s"; 8; "Time since the last good checkpoint was written, by job: what would be computed again after a crash.";
      [ by_job("innerloop_checkpoint_age_seconds"; "") ]),
    lines("Time to write a checkpoint"; "s"; 8; "Of the last checkpoint, by job. Training goes on meanwhile.";
      [ by_job("innerloop_checkpoint_seconds"; "") ]),
    lines("Checkpoints that failed"; "none"; 8; "Checkpoints that could not be written in the last five minutes, by job.";
      [ by_job("increase(innerloop_checkpoint_failures_total[5m])"; "") ]),
    lines("Size of a checkpoint"; "bytes"; 12; "Of the last good checkpoint, by job.";
      [ by_job("innerloop_checkpoint_bytes"; "") ]),
    lines("Disk of the state folder"; "bytes"; 12; "Free space, as far as the coordinator may use it, and size.";
      [ query("innerloop_state_disk_free_bytes"; "free"),
        query("innerloop_state_disk_size_bytes"; "size") ]),

    row("Builds"),
    numbers("Coordinator"; "none"; 12; "Versions of the coordinator; the value counts instances.";
      [ query("count by (version, grpc_version) (innerloop_build_info)"; "{{version}}, gRPC {{grpc_version}}") ]),
    numbers("Workers"; "none"; 12; "Versions of the workers; the value counts instances. A job uses one kind (fingerprint) only.";
      [ query("count by (version, libtorch, fingerprint) (innerloop_worker_build_info)"; "{{version}} {{fingerprint}}") ])
  ]);
