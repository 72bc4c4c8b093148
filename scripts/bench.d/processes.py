"""Servers and clients as processes, and what they take of the machine."""

import json
import os
import queue
import resource
import subprocess
import threading
import time

_TICKS = os.sysconf("SC_CLK_TCK")


class Failure(Exception):
    """A run that could not be measured."""


def _stat(process):
    """The fields of /proc/PID/stat behind the name, which may hold anything."""
    with open("/proc/%d/stat" % process, encoding="utf-8", errors="replace") as file:
        return file.read().rsplit(")", 1)[1].split()


def cpu_seconds(process):
    """CPU time of a process with the threads that have ended, in steps of 10 ms."""
    fields = _stat(process)
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _of_threads(process, file, read):
    """A figure of each thread that there is."""
    figures = {}
    for thread in os.listdir("/proc/%d/task" % process):
        try:
            with open("/proc/%d/task/%s/%s" % (process, thread, file), encoding="utf-8") as text:
                figures[thread] = read(text.read())
        except OSError:
            continue  # it has ended in between
    return figures


def _nanoseconds(process):
    return _of_threads(process, "schedstat", lambda text: int(text.split()[0]))


def _waits(process):
    name = "\nvoluntary_ctxt_switches:"
    return _of_threads(process, "status", lambda text: int(text.split(name, 1)[1].split(None, 1)[0]))


def watch(process, seconds, step=0.25):
    """CPU seconds and waits of a process that hardly does anything: too little for /proc/PID/stat, which counts in 10 ms.

    Each thread's own account ends with it, so they are looked at often.
    """
    sources = (_nanoseconds, _waits)
    totals, before = [0, 0], [source(process) for source in sources]
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(step)
        for index, source in enumerate(sources):
            after = source(process)
            totals[index] += sum(value - before[index].get(thread, 0) for thread, value in after.items())
            before[index] = after
    return totals[0] * 1e-9, totals[1]


def resident_memory(process):
    """The resident set, in MB."""
    with open("/proc/%d/statm" % process, encoding="utf-8") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


class Interval:
    """The machine from now on: how much of it somebody else has used, neither us nor PROCESSES."""

    def __init__(self, processes):
        self._processes = processes
        self._start = self._now()

    def _now(self):
        with open("/proc/stat", encoding="utf-8") as file:
            user, nice, system, idle, iowait, *rest = map(int, file.readline().split()[1:9])
        busy = (user + nice + system + sum(rest)) / _TICKS
        ours = sum(cpu_seconds(process) for process in self._processes)
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
            usage = resource.getrusage(who)
            ours += usage.ru_utime + usage.ru_stime
        return busy, ours, busy + (idle + iowait) / _TICKS

    def foreign_share(self):
        """From 0 to 1. Clients count as ours once they have ended and were waited for."""
        busy, ours, all_of_it = (after - before for after, before in zip(self._now(), self._start))
        return max(0.0, busy - ours) / max(0.01, all_of_it)


class Server:
    """A server process, ready; it ends with the `with` block."""

    def __init__(self, command, limit=60):
        self._lines = queue.Queue()
        started = time.monotonic()
        # Its standard error is ours: what goes wrong must be seen.
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.id = self._process.pid
        try:
            self.ready_at = self.expect("READY", limit)[0]
        except BaseException:
            self.stop()
            raise
        self.start_seconds = self.ready_at - started

    def _read(self):
        for line in self._process.stdout:
            self._lines.put((time.monotonic(), line))
        self._lines.put((time.monotonic(), None))

    def expect(self, word, limit):
        """Wait for a line that starts with WORD; answer when it came, and what follows the word."""
        deadline = time.monotonic() + limit
        while True:
            try:
                moment, line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise Failure("the server did not print %s within %d s" % (word, limit)) from None
            if line is None:
                raise Failure("the server has ended")
            if line.startswith(word):
                return moment, line[len(word) :].strip()

    def stop(self):
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        self._process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def run_to_end(command, limit=120):
    """Run a program; answer what it has printed."""
    try:
        result = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=limit, check=True
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise Failure(str(error)) from None
    return result.stdout


def run_client(command, limit=120):
    """Run a client to its end; answer its figures."""
    for line in reversed(run_to_end(command, limit).splitlines()):
        if line.startswith("{"):
            return json.loads(line)
    raise Failure("the client printed no figures: %s" % " ".join(command))
