#!/usr/bin/env python3
"""What the coordinator writes for TensorBoard, read back by TensorBoard's own package, over a kill -9 of the coordinator.

    tests/look/tensorboard_files.py BIN_DIR ENVIRONMENT_DIR

ENVIRONMENT_DIR is where the package is installed, once. Ends with 77 where it cannot be had.
"""
import glob
import json
import os
import subprocess
import sys
import tempfile

from cluster import Cluster
from tensorboard_environment import python_with_tensorboard

ITERATIONS = 30000
# The coordinator dies behind it.
DEATH = 12000
JOB = f"""
name: "a job/with a path"
model {{ mlp {{ hidden: [8] }} }}
tasks {{ sinusoid {{ shots: 5 queries: 5 }} }}
algorithm {{ maml {{ inner_steps: 2 inner_optimizer {{ sgd {{ learning_rate: 0.01 }} }} }} }}
meta_batch: 4
iterations: {ITERATIONS}
evaluation {{ every: 3000 periodic {{ episodes: 20 }} final {{ episodes: 50 }} }}
checkpoint {{ every: 1000 }}
"""
READ = """
import json, sys
from tensorboard.backend.event_processing import event_accumulator
board = event_accumulator.EventAccumulator(sys.argv[1], size_guidance={event_accumulator.SCALARS: 0, event_accumulator.TENSORS: 0})
board.Reload()
tags = board.Tags()
json.dump({"scalars": {tag: [[e.wall_time, e.step, e.value] for e in board.Scalars(tag)] for tag in tags["scalars"]},
           "texts": {tag: [e.tensor_proto.string_val[0].decode() for e in board.Tensors(tag)] for tag in tags["tensors"]}}, sys.stdout)
"""


def train(programs, folder):
    """Folder of the event files, and the history as the client tells it."""
    boards = os.path.join(folder, "boards")
    job_file = os.path.join(folder, "job.textproto")
    with open(job_file, "w", encoding="utf-8") as file:
        file.write(JOB)
    with Cluster(programs, folder, "--tensorboard-dir", boards) as cluster:
        job = json.loads(cluster.client("submit", job_file, "--format=json"))["job"]
        with cluster.watch(job) as watch:
            for line in watch.stdout:
                if json.loads(line).get("iteration", {}).get("iteration", 0) >= DEATH:
                    break
            watch.kill()
        cluster.coordinator.kill()
        cluster.coordinator.wait()
        cluster.start_coordinator()
        with cluster.watch(job) as watch:
            events = [json.loads(line) for line in watch.stdout]
    runs = os.listdir(boards)
    assert runs == [f"a_job_with_a_path-{job}"], runs
    return os.path.join(boards, runs[0]), events


def check(read, events):
    losses = {event["iteration"]["iteration"] + 1: event["iteration"]["meta_loss"] for event in events if "iteration" in event}
    assert len(losses) == ITERATIONS, len(losses)
    scalars = read["scalars"]
    points = scalars["training/meta_loss"]
    steps = [step for _, step, _ in points]
    assert steps == sorted(set(steps)) and steps[0] == 1 and steps[-1] == ITERATIONS, f"each step once, in order, from first to last: {steps}"
    assert len(steps) >= 4, steps
    before = 0
    restarts = 0
    for _, step, value in points:
        window = [losses[i] for i in range(before + 1, step + 1)]
        # After a restart windows begin anew, so that what lies before is of no window that is left.
        if abs(sum(window) / len(window) - value) > 1e-4 * abs(value):
            restarts += 1
        before = step
    assert restarts <= 2, f"{restarts} of {len(points)} points are no means of what they stand for"
    times = [time for time, _, _ in points]
    assert times == sorted(times), times
    rates = [value for _, _, value in scalars["training/iterations_per_second"]]
    assert all(rate > 0 for rate in rates), rates
    for event in events:
        evaluation = event.get("evaluation")
        for measure in evaluation["steps"] if evaluation else []:
            tag = f"evaluation/{evaluation['split']}/loss/step_{measure['step']}"
            found = [value for _, step, value in scalars[tag] if step == evaluation["iteration"]]
            # Twice where the version was evaluated again because the coordinator died before its best checkpoint was written; the same then.
            assert len(found) in (1, 2), (tag, found, measure)
            assert all(abs(value - measure["loss"]) <= 1e-5 * abs(measure["loss"]) for value in found), (tag, found, measure)
    specifications = read["texts"]["job/specification"]
    assert any("inner_steps: 2" in text and text.startswith("    name: ") for text in specifications), specifications
    return len(points)


def main():
    programs, environment = map(os.path.abspath, sys.argv[1:3])
    python = python_with_tensorboard(environment)
    with tempfile.TemporaryDirectory() as folder:
        run, events = train(programs, folder)
        files = glob.glob(os.path.join(run, "events.out.tfevents.*"))
        assert len(files) == 2, files
        read = json.loads(subprocess.check_output([python, "-c", READ, run], text=True))
        points = check(read, events)
    print(f"TensorBoard reads {len(read['scalars'])} tags and {points} points of the meta-loss from {len(files)} files, each as the history has it")


if __name__ == "__main__":
    main()
