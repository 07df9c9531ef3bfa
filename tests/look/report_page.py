#!/usr/bin/env python3
"""Trains two seeds of a small job, makes a report of them, and looks at the page in headless Chromium.

    tests/look/report_page.py BIN_DIR OUT_DIR

The page must draw its curves, be read off by pointer and keys, say nothing to the console, fetch nothing, and fit its window. Screenshots go to OUT_DIR
for people to look at. Ends with 77 where Chromium is missing.
"""
import json
import os
import re
import subprocess
import sys
import tempfile

from browser import Browser, require

JOB = """
name: "</script><b>one & two"
model { mlp { hidden: [8] activation: ACTIVATION_TANH } }
tasks { sinusoid { shots: 5 queries: 5 } }
algorithm { maml { inner_steps: 2 inner_optimizer { sgd { learning_rate: 0.01 } } } }
meta_batch: 4
iterations: 300
evaluation { every: 100 periodic { episodes: 20 } final { episodes: 50 } }
published { source: "<i>a paper" step: 1 loss: 3.5 }
"""


def make(programs, folder, page):
    job = os.path.join(folder, "job.textproto")
    with open(job, "w", encoding="utf-8") as file:
        file.write(JOB)
    client = os.path.join(programs, "innerloop")
    run = os.path.join(folder, "run")
    subprocess.run([client, "train", job, "--seeds", "1..2", "--workers", "1", "--state-dir", run], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([client, "report", run, "-o", page], check=True)
    data = json.loads(subprocess.check_output([client, "report", run, "--format=json"]))
    assert len(data["jobs"]) == 2 and data["groups"] == [{"name": '</script><b>one & two', "jobs": [0, 1]}], data["groups"]
    return data


def make_with_holes(programs, folder, page, data):
    """The same jobs with a loss that is not finite, and with one job's curves broken off halfway."""
    for job in data["jobs"]:
        periodic = next(evaluation for evaluation in job["evaluations"] if evaluation["periodic"])
        job["evaluations"] = [{**periodic, "iteration": iteration, "steps": [{"step": 2, "loss": loss, "loss_ci95": 0.0}]}
                              for iteration, loss in ((60, 4.0), (120, None), (180, 3.0), (240, 1.0))]
    for curve in data["jobs"][1]["curves"]:
        curve["points"] = curve["points"][:len(curve["points"]) // 2]
    file = os.path.join(folder, "holes.json")
    with open(file, "w", encoding="utf-8") as out:
        json.dump(data, out)
    subprocess.run([os.path.join(programs, "innerloop"), "report", file, "-o", page], check=True)


def check_text(page):
    with open(page, encoding="utf-8") as file:
        text = file.read()
    fetching = re.findall(r"""\b(?:src|href|action)=["']?(?!data:)[\w/]|@import|fetch\(|XMLHttpRequest|url\(""", text)
    assert not fetching, fetching
    addresses = set(re.findall(r"https?://[^\"'\s<>\\]+", text))
    assert addresses <= {"http://www.w3.org/2000/svg"}, addresses


def check_page(browser, page):
    browser.size(1280)
    browser.open("file://" + page)
    browser.settle()
    assert browser.run("return document.title") == "Innerloop report: </script><b>one & two, 2 seeds"
    assert browser.run("return document.querySelectorAll('main b, main i').length") == 0, "names are text"
    charts = browser.run("return [...document.querySelectorAll('figure h3')].map((title) => title.textContent)")
    assert charts == ["Meta-loss", "Loss by inner step", "Loss by inner step", "Before and after adaptation", "Update norm", "Time per iteration",
                      "Learning rate"], charts
    assert browser.run("return [...document.querySelectorAll('svg.plot')].every((svg) => svg.querySelector('path'))"), "every chart is drawn"
    axes = browser.run("return [...document.querySelectorAll('svg.plot')].map((svg) => [...svg.querySelectorAll('text')].slice(-2).map((t) => t.textContent))")
    assert axes[0] == ["iteration", "loss"], axes

    def readout(script):
        return browser.run("const svg = document.querySelector('svg.plot'), box = svg.getBoundingClientRect();" + script +
                           "return svg.parentElement.querySelector('.readout').innerText")
    by_pointer = readout("svg.dispatchEvent(new PointerEvent('pointermove', {clientX: box.left + box.width / 2, clientY: box.top + 9}));")
    assert re.match(r"iteration 1\d\d\s+training\s+\d+\.\d+ ± \d+\.\d+ over 2 seeds", by_pointer), by_pointer
    by_key = readout("svg.dispatchEvent(new KeyboardEvent('keydown', {key: 'Escape'}));"
                     "svg.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowRight'}));")
    assert by_key.startswith("iteration 0"), by_key
    curves = "return document.querySelector('svg.plot').querySelectorAll('.curve').length;"
    assert browser.run(curves) == 2
    assert browser.run("document.querySelector('.legend button').click();" + curves) == 1, "the legend hides a curve"
    assert browser.run("document.querySelector('.legend button').click(); document.getElementById('seeds').click();"
                       "return document.querySelector('svg.plot').querySelectorAll('.seed').length") == 2, "each seed is drawn"
    assert "0.67" not in browser.run("return document.body.innerText")
    assert browser.run("return document.querySelector('main').innerText.includes('3.5000 (<i>a paper)')"), "published figures are shown"
    assert browser.run("return performance.getEntriesByType('resource').length") == 0, "nothing is fetched"
    unnamed = browser.run("return [...document.querySelectorAll('svg.plot, button, input')].filter((e) => !e.getAttribute('aria-label') "
                          "&& !e.textContent.trim() && !(e.labels && e.labels.length)).length")
    assert unnamed == 0, "everything that can be used has a name"


def check_holes(browser, page):
    browser.size(1280)
    browser.open("file://" + page)
    browser.settle()
    marks = browser.run("return [...document.querySelectorAll('svg.plot')[0].querySelectorAll('circle')].map((mark) => mark.getAttribute('cy'))")
    assert len(marks) == 3, "what follows a loss that is not finite is drawn"
    # Both jobs measured the same, so that the whiskers have no length.
    whiskers = browser.run("return [...document.querySelectorAll('svg.plot')[0].querySelectorAll('line:not([class])')]"
                           ".map((line) => [line.getAttribute('y1'), line.getAttribute('y2')])")
    assert whiskers == [[mark, mark] for mark in marks], f"marks are not smoothed: {marks} {whiskers}"
    last = browser.run("const svg = document.querySelector('svg.plot'); svg.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowLeft'}));"
                       "return svg.parentElement.querySelector('.readout').innerText")
    assert re.search(r"training\s+[\d.e+-]+ over 1 seed\b", last), last


def main():
    require("chromium", "chromedriver")
    programs, out = map(os.path.abspath, sys.argv[1:3])
    os.makedirs(out, exist_ok=True)
    page = os.path.join(out, "report.html")
    holes = os.path.join(out, "report-with-holes.html")
    with tempfile.TemporaryDirectory() as folder:
        make_with_holes(programs, folder, holes, make(programs, folder, page))
    check_text(page)
    with Browser() as browser:
        check_page(browser, page)
        check_holes(browser, holes)
        for width in (1280, 420):
            for dark in (False, True):
                browser.size(width, dark=dark)
                browser.open("file://" + page)
                browser.settle()
                assert browser.run("return document.documentElement.scrollWidth") == width, "the page is as wide as its window"
                browser.screenshot(os.path.join(out, f"report-{width}-{'dark' if dark else 'light'}.png"))
        errors = browser.errors()
    assert not errors, errors
    print(f"{page} is right; screenshots lie beside it")


if __name__ == "__main__":
    main()
