#!/usr/bin/env python3
"""Trains a small job and opens TensorBoard on its curves in headless Chromium.

    tests/look/tensorboard_page.py BIN_DIR ENVIRONMENT_DIR OUT_DIR

The page must show the job's tags; a screenshot goes to OUT_DIR for people to look at. Ends with 77 where Chromium or the tensorboard package are missing.
"""
import os
import subprocess
import sys
import tempfile
import time

from browser import Browser, await_port, free_port, require
from tensorboard_environment import python_with_tensorboard
from tensorboard_files import train

# Addresses, and what they show; without white space.
PAGES = {
    "training": ("?tagFilter=training#timeseries", ["training/meta_loss", "training/iterations_per_second"]),
    "evaluation": ("?tagFilter=validation#timeseries", ["evaluation/validation/loss/step_0"]),
    "specification": ("#text", ["job/specification", "inner_steps:2"]),
}
# TensorBoard's elements nest their contents in shadow roots.
TEXT = """
const texts = [];
const visit = (node) => {
  if (node.nodeType === Node.TEXT_NODE) texts.push(node.textContent);
  if (node.shadowRoot) visit(node.shadowRoot);
  node.childNodes.forEach(visit);
};
visit(document.body);
return texts.join(" ");
"""


def await_text(browser, wanted, seconds=60):
    until = time.monotonic() + seconds
    text = ""
    while time.monotonic() < until:
        text = "".join(browser.run(TEXT).split())
        if all(word in text for word in wanted):
            return
        browser.settle()
    sys.exit(f"TensorBoard's page lacks {[word for word in wanted if word not in text]}")


def main():
    require("chromium", "chromedriver")
    programs, environment, out = map(os.path.abspath, sys.argv[1:4])
    python = python_with_tensorboard(environment)
    os.makedirs(out, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        run, _ = train(programs, folder)
        port = free_port()
        with subprocess.Popen([python, "-m", "tensorboard.main", "--logdir", os.path.dirname(run), "--port", str(port), "--load_fast=false"],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as board:
            try:
                await_port(port, board)
                with Browser() as browser:
                    browser.size(1400, 1500)
                    for name, (page, wanted) in PAGES.items():
                        browser.open(f"http://127.0.0.1:{port}/{page}")
                        await_text(browser, wanted + [os.path.basename(run)])
                        browser.settle(seconds=2)  # its curves grow
                        browser.screenshot(os.path.join(out, f"tensorboard-{name}.png"), whole=False)
            finally:
                board.terminate()
    print(f"TensorBoard shows the job; screenshots lie in {out}")


if __name__ == "__main__":
    main()
