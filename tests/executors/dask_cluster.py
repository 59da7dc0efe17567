"""A Dask scheduler and worker processes on loopback, for tests that kill them."""

import os
import signal
import subprocess
import sys
import tempfile
import time

import distributed

QUIET = {**os.environ, "DASK_DISTRIBUTED__LOGGING__DISTRIBUTED": "critical", "OMP_NUM_THREADS": "1"}


class Cluster:
    """One scheduler and any number of workers, each a process without a nanny.

    Args:
        folder: for their files.
        workers: to begin with.
    """

    def __init__(self, folder, workers=0):
        self.folder = folder
        self._file = folder / "scheduler.json"
        self.scheduler = self._start("dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        self.workers = []
        for _ in range(workers):
            self.add(wait=False)
        deadline = time.monotonic() + 60
        while not self._file.exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        self.client = distributed.Client(scheduler_file=str(self._file), set_as_default=False, timeout=60)
        self.address = self.client.scheduler.address
        if workers:
            self._wait(workers)

    def add(self, threads=1, wait=True):
        """Start a worker."""
        before = len(self.client.nthreads()) if wait else 0
        process = self._start(
            "dask_worker", "--no-nanny", "--nthreads", str(threads), "--no-dashboard", "--host", "127.0.0.1",
            "--local-directory", tempfile.mkdtemp(dir=self.folder),
        )  # fmt: skip
        self.workers.append(process)
        if wait:
            self._wait(before + 1)

    def kill(self, process):
        """End a worker as the system does that runs out of memory; returns once the scheduler knows."""
        self.workers.remove(process)
        process.send_signal(signal.SIGKILL)
        process.wait()
        deadline = time.monotonic() + 10
        while len(self.client.nthreads()) > len(self.workers):
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def keep(self, count):
        """Have exactly so many workers."""
        deadline = time.monotonic() + 60
        while True:
            # again and again: one that was killed seems to live until its end has come to the parent
            self.workers = [process for process in self.workers if process.poll() is None]
            for process in self.workers[count:]:
                self.kill(process)
            while len(self.workers) < count:
                self.add(wait=False)
            if len(self.client.nthreads()) == count:
                return
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.02)

    def _wait(self, count):
        try:
            self.client.wait_for_workers(count, timeout=60)
        except TimeoutError:
            raise AssertionError((self.folder / "log").read_text()) from None

    def close(self):
        self.client.close()
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()

    def _start(self, module, *arguments):
        command = [sys.executable, "-m", f"distributed.cli.{module}", *arguments, "--scheduler-file", str(self._file)]
        with open(self.folder / "log", "ab") as log:
            return subprocess.Popen(command, env=QUIET, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
