"""A coordinator and a worker of this machine, for tests."""
import os
import subprocess

from browser import await_port, free_port


class Cluster:
    """A context manager; what it starts ends with it."""

    def __init__(self, programs, folder, *coordinator_arguments):
        self.programs, self.folder, self.arguments = programs, folder, coordinator_arguments
        self.port = free_port()
        self.log = open(os.path.join(folder, "log"), "wb")  # pylint: disable=consider-using-with
        self.worker = None

    def __enter__(self):
        self.start_coordinator()
        self.worker = self._start("innerloop-worker", "--coordinator", f"127.0.0.1:{self.port}", "--slots", "2", "--metrics-listen", "")
        return self

    def __exit__(self, *error):
        for process in (self.worker, self.coordinator):
            process.kill()
            process.wait()
        self.log.close()

    def _start(self, program, *arguments):
        return subprocess.Popen([os.path.join(self.programs, program), *arguments], stdout=self.log, stderr=self.log)

    def start_coordinator(self):
        self.coordinator = self._start("innerloop-coordinator", "--state-dir", os.path.join(self.folder, "state"),
                                       "--listen", f"127.0.0.1:{self.port}", "--metrics-listen", "", *self.arguments)
        await_port(self.port, self.coordinator)

    def client(self, *arguments):
        """What the client writes."""
        return subprocess.check_output([os.path.join(self.programs, "innerloop"), *arguments, "--coordinator", f"127.0.0.1:{self.port}"], text=True)

    def watch(self, job, **options):
        """A client that follows a job, as a process that writes JSON lines."""
        return subprocess.Popen([os.path.join(self.programs, "innerloop"), "watch", job, "--format=json", "--coordinator", f"127.0.0.1:{self.port}"],
                                stdout=subprocess.PIPE, text=True, **options)
