"""The tensorboard package from PyPI in a virtual environment of the build folder, for tests."""
import os
import subprocess
import sys
import venv

from browser import skip

PACKAGES = ["tensorboard==2.21.0"]


def python_with_tensorboard(folder):
    """Path of a Python that imports it; the test ends as skipped where it cannot be had."""
    python = os.path.join(folder, "bin", "python")
    if os.path.exists(python) and subprocess.run([python, "-c", "import tensorboard"], capture_output=True, check=False).returncode == 0:
        return python
    try:
        venv.create(folder, with_pip=True, clear=True)
    except (subprocess.CalledProcessError, SystemExit):  # the latter is Debian's way without its package
        skip("Python makes no virtual environments here; apt-get install python3-venv")
    installed = subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES],
                               capture_output=True, text=True, check=False)
    if installed.returncode != 0:
        print(installed.stderr[-2000:], file=sys.stderr)
        skip(f"the tensorboard package cannot be had; with a network: {python} -m pip install {' '.join(PACKAGES)}")
    return python
