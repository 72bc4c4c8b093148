"""The oslo.messaging peer of scripts/bench: its defaults, with the threading executor.

    oslo.py server --topic T --mode echo|drain|fanout [--k SERVERS] [--n MESSAGES]
    oslo.py call   --topic T --callers C --n CALLS --warmup CALLS --payload FILE
    oslo.py cast   --topic T --n MESSAGES --payload FILE [--mode topic|fanout]

The server prints READY, and in the modes drain and fanout a line DONE with figures after MESSAGES; the others print
figures as one line of JSON. The broker is that of AMQP_URL.
"""

import argparse
import json
import logging
import os
import resource
import threading
import time
import warnings

warnings.simplefilter("ignore")  # oslo.service imports eventlet, which announces its own end

from oslo_config import cfg  # noqa: E402
import oslo_messaging  # noqa: E402

logging.basicConfig(level=logging.ERROR)

EXCHANGE = "perf_oslo"  # that of the Swift programs


class Measurement:
    """What a run takes, from now until the report."""

    def __init__(self):
        self._cpu = self._cpu_seconds()
        self._started = time.monotonic()

    @staticmethod
    def _cpu_seconds():
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return usage.ru_utime + usage.ru_stime

    def report(self, count, latencies=()):
        seconds = time.monotonic() - self._started
        figures = {
            "n": count,
            "seconds": seconds,
            "rate": count / seconds,
            "cpu_s": self._cpu_seconds() - self._cpu,
        }
        if latencies:
            latencies = sorted(latencies)
            figures["p50_us"] = latencies[len(latencies) // 2] * 1e6
            figures["p99_us"] = latencies[len(latencies) * 99 // 100] * 1e6
        return json.dumps(figures)


class Endpoint:
    """One method that answers what it was given, and one that counts."""

    def __init__(self, interval):
        self._interval = interval
        self._count = 0
        self._measurement = None
        self._lock = threading.Lock()

    def echo(self, context, data):
        return data

    def tick(self, context, data):
        with self._lock:
            if self._count == 0:
                self._measurement = Measurement()
            self._count += 1
            if self._count == self._interval:
                print("DONE", self._measurement.report(self._interval), flush=True)
                self._count = 0


def serve(transport, arguments):
    endpoint = Endpoint(arguments.n)
    servers = [
        oslo_messaging.get_rpc_server(
            transport,
            oslo_messaging.Target(exchange=EXCHANGE, topic=arguments.topic, server="s%d" % number),
            [endpoint],
            executor="threading",
            access_policy=oslo_messaging.DefaultRPCAccessPolicy,
        )
        for number in range(arguments.k)
    ]
    for server in servers:
        server.start()
    print("READY", flush=True)
    threading.Event().wait()


def in_threads(count, callers, operation):
    """Run `operation` COUNT times in threads, each one after the other; answer how long each took."""
    remaining = iter(range(count))
    lock = threading.Lock()
    latencies, errors = [], []

    def run():
        try:
            while True:
                with lock:
                    if next(remaining, None) is None:
                        return
                started = time.monotonic()
                operation()
                latencies.append(time.monotonic() - started)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return latencies


def call(client, data, arguments):
    in_threads(arguments.warmup, arguments.callers, lambda: client.call({}, "echo", data=data))
    measurement = Measurement()
    latencies = in_threads(arguments.n, arguments.callers, lambda: client.call({}, "echo", data=data))
    print(measurement.report(arguments.n, latencies), flush=True)


def cast(client, data, arguments):
    if arguments.mode == "fanout":
        client = client.prepare(fanout=True)
    measurement = Measurement()
    # Each waits for the broker's confirm; there is no other way.
    for _ in range(arguments.n):
        client.cast({}, "tick", data=data)
    print(measurement.report(arguments.n), flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["server", "call", "cast"])
    parser.add_argument("--topic", required=True)
    parser.add_argument("--mode", choices=["echo", "drain", "fanout", "topic"], default="echo")
    parser.add_argument("--payload")
    for name, default in (("k", 1), ("n", 1), ("callers", 1), ("warmup", 0)):
        parser.add_argument("--" + name, type=int, default=default)
    arguments = parser.parse_args()

    configuration = cfg.CONF  # tracing registers its options with this one only
    configuration([], project="bench", default_config_files=[], default_config_dirs=[])
    url = "rabbit://" + os.environ["AMQP_URL"].split("://", 1)[1]
    transport = oslo_messaging.get_rpc_transport(configuration, url=url)
    if arguments.command == "server":
        serve(transport, arguments)
        return
    # A connection for each caller, or they would wait for each other.
    connections = max(30, arguments.callers)
    configuration.set_override("rpc_conn_pool_size", connections, "oslo_messaging_rabbit")
    target = oslo_messaging.Target(exchange=EXCHANGE, topic=arguments.topic)
    client = oslo_messaging.get_rpc_client(transport, target, timeout=60)
    with open(arguments.payload, encoding="utf-8") as file:
        data = json.load(file)
    {"call": call, "cast": cast}[arguments.command](client, data, arguments)


if __name__ == "__main__":
    main()
    os._exit(0)  # at once: closing takes seconds
