"""A headless Chromium for tests, driven through chromedriver (Debian: chromium, chromium-driver) with Python's standard library alone."""
import base64
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

SKIPPED = 77


def skip(why):
    """Ends the test as skipped, as ctest understands it."""
    print(f"SKIPPED: {why}")
    sys.exit(SKIPPED)


def require(*programs):
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        skip(f"{' and '.join(missing)} not found; apt-get install chromium chromium-driver")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def await_port(port, process, seconds=60):
    """Until something listens there; fails when the process ends first."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if process.poll() is not None:
            sys.exit(f"{process.args[0]} ended with {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.1)
    sys.exit(f"{process.args[0]} did not listen within {seconds} s")


class Browser:
    """One page; a context manager."""

    def __enter__(self):
        require("chromium", "chromedriver")
        self.profile = tempfile.TemporaryDirectory(prefix="innerloop-look-")
        port = free_port()
        self.driver = subprocess.Popen(["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        await_port(port, self.driver)
        self.base = f"http://127.0.0.1:{port}"
        options = {"args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={self.profile.name}"]}
        session = self._call("POST", "/session", {"capabilities": {"alwaysMatch": {
            "browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}}})
        self.base += f"/session/{session['sessionId']}"
        return self

    def __exit__(self, *error):
        try:
            self._call("DELETE", "", None)
        finally:
            self.driver.terminate()
            self.driver.wait()
            self.profile.cleanup()

    def _call(self, method, path, body):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            sys.exit(f"{path}: {json.load(error)['value']['message']}")

    def command(self, name, **parameters):
        """A command of the DevTools protocol."""
        return self._call("POST", "/goog/cdp/execute", {"cmd": name, "params": parameters})

    def size(self, width, height=900, dark=False):
        self.command("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        self.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def open(self, url):
        self._call("POST", "/url", {"url": url})

    def run(self, script):
        """What the script returns; it runs until its promise is settled."""
        return self._call("POST", "/execute/sync", {"script": script, "args": []})

    def settle(self, seconds=0.1):
        """Until what was asked to be drawn is drawn."""
        self.run("return new Promise((done) => setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(done)), "
                 f"{1000 * seconds}))")

    def screenshot(self, path, whole=True):
        self.settle()
        image = self.command("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        with open(path, "wb") as file:
            file.write(base64.b64decode(image["data"]))

    def errors(self):
        """What the page complained of since the last call."""
        entries = self._call("POST", "/se/log", {"type": "browser"})
        return [entry["message"] for entry in entries if entry["level"] in ("SEVERE", "WARNING")]
