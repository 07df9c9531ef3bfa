"""Loads each exported model of a folder as anyone would, and compares its outputs with what the program predicted.

    load_adapted.py FOLDER
"""
import glob
import struct
import sys

import torch


def read(path):
    with open(path, "rb") as file:
        shape = [int(length) for length in file.readline().split()]
        values = file.read()
    return torch.tensor(struct.unpack(f"<{len(values) // 4}f", values)).view(shape)


models = sorted(glob.glob(sys.argv[1] + "/*.pt"))
worst = 0.0
for path in models:
    module = torch.jit.load(path)
    inputs, expected = read(path[:-3] + ".inputs"), read(path[:-3] + ".outputs")
    with torch.no_grad():
        # Several calls: the first ones are profiled, later ones run what was optimised.
        for _ in range(4):
            outputs = module(inputs)
    worst = max(worst, ((outputs - expected).abs() / expected.abs().clamp(min=1)).max().item())
print(f"{len(models)} models, torch {torch.__version__}: largest error {worst:.2e}")
sys.exit(0 if models and worst < 1e-5 else 1)
