# How jobs learn.
include "layout";

def by_job(expr; more): by_job(expr; more; "{name=~\"$name\"}");

def of_job: "{job=~\"$job\"}";
def after: "{job=~\"$job\", schedule=\"periodic\", adaptation=\"after\"}";

def dashboard: board("innerloop-meta-training"; "Meta-training"; "How jobs learn: losses, accuracies, updates, pace.";
  [ choice("name"; "Name"; "label_values(innerloop_job_info, name)"),
    choice("job"; "Job"; "label_values(innerloop_job_info{name=~\"$name\"}, job)") ];
  [ row("Jobs"),
    (numbers("State"; "none"; 8; "The state that each job is in.";
      [ by_job("innerloop_job_state" + of_job; "{{state}}") ]) | .options.textMode = "name"),
    bars("Progress"; 8; "Iterations done, of those that the job is to do.";
      [ by_job("innerloop_job_iteration" + of_job + " / innerloop_job_target_iterations" + of_job; "") ]),
    numbers("Time left"; "s"; 8; "Until the last iteration, at the pace of the last five minutes; without the final evaluation. Nothing for a job that does not iterate.";
      [ by_job("innerloop:job_time_left_seconds" + of_job; "") ]),

    row("Learning"),
    log_lines("Meta-loss"; "none"; 12; "What is minimised, as means over the last second's iterations: the meta-objective's value where the job has one, else the mean query loss after adaptation.";
      [ by_job("innerloop_meta_loss" + of_job; "") ]),
    lines("Accuracy of training tasks"; "percentunit"; 12; "Mean query accuracy after adaptation, as means over the last second's iterations. Classification only.";
      [ by_job("innerloop_meta_accuracy" + of_job; "") ]),
    log_lines("Loss: training against validation"; "none"; 12; "Meta-loss of training tasks, and loss after adaptation in the latest periodic evaluation. A growing gap is overfitting; evaluations may use other numbers of examples and steps than training.";
      [ by_job("innerloop_meta_loss" + of_job; "training"),
        by_job("innerloop_evaluation_loss" + after; "{{split}}") ]),
    lines("Accuracy: training against validation"; "percentunit"; 12; "Accuracy after adaptation of training tasks, and in the latest periodic evaluation. Classification only.";
      [ by_job("innerloop_meta_accuracy" + of_job; "training"),
        by_job("innerloop_evaluation_accuracy" + after; "{{split}}") ]),

    row("Adaptation"),
    log_lines("Query loss before and after adaptation"; "none"; 12; "Mean query loss of training tasks. Their distance is what adaptation gains. After adaptation only for jobs that minimise it.";
      [ by_job("innerloop_query_loss" + of_job; "{{adaptation}}") ]),
    log_lines("Support loss before and after adaptation"; "none"; 12; "Mean support loss of training tasks, measured in every 16th iteration.";
      [ by_job("innerloop_support_loss" + of_job; "{{adaptation}}") ]),
    log_lines("Evaluated loss by inner step"; "none"; 12; "Loss after each number of inner steps in the latest evaluation of the job's schedule. Step 0 is before adaptation.";
      [ by_job("innerloop_evaluation_loss" + of_job; "{{schedule}} {{split}} step {{step}}") ]),
    lines("Evaluated accuracy by inner step"; "percentunit"; 12; "Accuracy after each number of inner steps in the latest evaluation of the job's schedule. Step 0 is before adaptation. Classification only.";
      [ by_job("innerloop_evaluation_accuracy" + of_job; "{{schedule}} {{split}} step {{step}}") ]),
    bars("Evaluated accuracy before and after adaptation"; 12; "Of the latest evaluation of the job's schedule. Classification only.";
      [ by_job("innerloop_evaluation_accuracy{job=~\"$job\", adaptation=~\"before|after\"}"; "{{schedule}} {{split}} {{adaptation}}") ]),
    numbers("Evaluated version"; "none"; 12; "Version of the parameters in the latest evaluation of the job's schedule, in iterations.";
      [ by_job("innerloop_evaluation_iteration" + of_job; "{{schedule}} {{split}}") ]),

    row("Updates"),
    log_lines("Update norm"; "none"; 8; "Euclidean norm of the mean update before clipping, as means over the last second's iterations.";
      [ by_job("innerloop_update_norm" + of_job; "") ]),
    lines("Learning rate"; "none"; 8; "Of the outer optimiser, by its schedule.";
      [ by_job("innerloop_learning_rate" + of_job; "") ]),
    lines("Updates that are not finite"; "none"; 8; "Iterations without an outer step in the last five minutes, because their update held infinities or NaNs.";
      [ by_job("increase(innerloop_skipped_iterations_total" + of_job + "[5m])"; "") ]),

    row("Throughput"),
    lines("Iterations per second"; "suffix: it/s"; 8; "Outer steps that the coordinator takes.";
      [ by_job("rate(innerloop_iterations_total" + of_job + "[$__rate_interval])"; "") ]),
    lines("Tasks per second"; "suffix: tasks/s"; 8; "Training tasks whose result counted.";
      [ by_job("rate(innerloop_tasks_total{job=~\"$job\", outcome=\"counted\"}[$__rate_interval])"; "") ]),
    lines("Seconds of an iteration by phase"; "s"; 8; "Mean time of the phases of an iteration: on workers with the way there and back, adding up after the last shard, the outer step.";
      [ by_job("rate(innerloop_iteration_phase_seconds_sum{job=~\"$job\", phase!=\"total\"}[$__rate_interval]) / rate(innerloop_iteration_phase_seconds_count{job=~\"$job\", phase!=\"total\"}[$__rate_interval])"; "{{phase}}") ])
  ]);
