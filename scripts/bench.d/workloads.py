"""The workloads: each runs one peer once and answers figures.

rate: requests per second. p50_us, p99_us: how long a call took. server_cpu_us, client_cpu_us, broker_cpu_us: CPU time
per request, or per delivery where one request is delivered to many. foreign: the share of the machine that others used.
w5-idle: ready_ms from exec to READY; CPU in ms and waits per second.
"""

import itertools
import json
import os
import statistics
import time

from processes import Interval, Server, cpu_seconds, resident_memory, run_client, run_to_end, watch

SERVERS = 50  # of the fanout
STARTS = 3
IDLE_SECONDS = 4.0


class Bench:
    """The broker, the payloads, and names that were not used before."""

    def __init__(self, broker, payloads, raw):
        self._broker = broker
        self._raw = raw
        self._payloads = payloads
        self._numbers = itertools.count(1)
        self._declared = {}

    def topic(self, peer):
        return "bench_%s_%d_%d" % (peer.key, os.getpid(), next(self._numbers))

    def payload(self, size):
        return ["--payload", str(self._payloads[size])]

    def broker_cpu(self):
        return cpu_seconds(self._broker)

    def interval(self, *servers):
        return Interval([self._broker] + [server.id for server in servers])

    def declared(self, peer):
        """A topic whose queue exists and has no consumer: the peer's own server has made it, once."""
        if peer.key not in self._declared:
            topic = self.topic(peer)
            with Server(peer.server + ["server", "--topic", topic, "--mode", "drain"]):
                pass
            self._declared[peer.key] = topic
        return self._declared[peer.key]

    def purge(self, topic):
        """Empty the queue."""
        run_to_end([self._raw, "purge", "--topic", topic])


def micro(seconds, count):
    return seconds / count * 1e6


def call(bench, peer, count, size, callers):
    topic = bench.topic(peer)
    warm_up = max(callers, count // 10)
    with Server(peer.server + ["server", "--topic", topic, "--mode", "echo"]) as server:
        time.sleep(0.3)
        interval, server_cpu, broker_cpu = bench.interval(server), cpu_seconds(server.id), bench.broker_cpu()
        command = ["call", "--topic", topic, "--callers", callers, "--n", count, "--warmup", warm_up]
        figures = run_client(peer.client + [str(word) for word in command] + bench.payload(size))
        # The server and the broker have had the calls before the measured ones, too.
        figures["server_cpu_us"] = micro(cpu_seconds(server.id) - server_cpu, count + warm_up)
        figures["broker_cpu_us"] = micro(bench.broker_cpu() - broker_cpu, count + warm_up)
        figures["client_cpu_us"] = micro(figures["cpu_s"], count)
        figures["foreign"] = interval.foreign_share()
        figures["server_memory_mb"] = resident_memory(server.id)
        return figures


def cast(bench, peer, count, window):
    topic = bench.declared(peer)
    try:
        interval, broker_cpu = bench.interval(), bench.broker_cpu()
        command = peer.client + ["cast", "--topic", topic, "--n", str(count)] + bench.payload("280 B")
        if peer.key != "oslo":  # which waits for each confirm, always
            command += ["--confirm", str(window)]
        figures = run_client(command)
        figures["client_cpu_us"] = micro(figures["cpu_s"], count)
        figures["broker_cpu_us"] = micro(bench.broker_cpu() - broker_cpu, count)
        figures["foreign"] = interval.foreign_share()
        return figures
    finally:
        bench.purge(topic)


def drain(bench, peer, count, filler):
    # More than oslo.messaging, which has no prefetch limit, reads ahead before it handles the first.
    if peer.key == "oslo":
        count = max(count, 4_000)
    topic = bench.declared(peer)
    try:
        fill = filler.client + ["cast", "--topic", topic, "--n", str(count), "--confirm", "64"]
        run_client(fill + bench.payload("280 B"))
        broker_cpu = bench.broker_cpu()
        with Server(peer.server + ["server", "--topic", topic, "--mode", "drain", "--n", str(count)]) as server:
            interval, server_cpu = bench.interval(server), cpu_seconds(server.id)
            moment, text = server.expect("DONE", 60)
            figures = json.loads(text)
            # One who reads ahead has done much before the first message is handled, one who says late that he is
            # ready has handled some by then: the longer of the two times, and the more CPU.
            cpu = max(figures["cpu_s"], cpu_seconds(server.id) - server_cpu)
            figures["seconds"] = max(figures["seconds"], moment - server.ready_at)
            figures["rate"] = count / figures["seconds"]
            figures["server_cpu_us"] = micro(cpu, count)
            figures["broker_cpu_us"] = micro(bench.broker_cpu() - broker_cpu, count)
            figures["foreign"] = interval.foreign_share()
            return figures
    finally:
        bench.purge(topic)


def fanout(bench, peer, count):
    topic, deliveries = bench.topic(peer), count * SERVERS
    options = ["--mode", "fanout", "--k", str(SERVERS), "--n", str(deliveries)]
    with Server(peer.server + ["server", "--topic", topic] + options) as server:
        time.sleep(0.5)
        interval, broker_cpu = bench.interval(server), bench.broker_cpu()
        command = ["cast", "--topic", topic, "--mode", "fanout", "--n", str(count)]
        run_client(peer.client + command + bench.payload("280 B"))
        figures = json.loads(server.expect("DONE", 60)[1])
        figures["server_cpu_us"] = micro(figures["cpu_s"], deliveries)
        figures["broker_cpu_us"] = micro(bench.broker_cpu() - broker_cpu, deliveries)
        figures["foreign"] = interval.foreign_share()
        figures["server_memory_mb"] = resident_memory(server.id)
        return figures


def idle(bench, peer, _):
    command = peer.server + ["server", "--topic", bench.topic(peer)]
    starts, interval = [], bench.interval()
    for _ in range(STARTS):
        with Server(command) as server:
            starts.append(server.start_seconds)
    foreign = interval.foreign_share()
    with Server(command) as server:
        time.sleep(1.5)
        cpu, waits = watch(server.id, IDLE_SECONDS)
        return {
            "ready_ms": statistics.median(starts) * 1e3,
            "server_memory_mb": resident_memory(server.id),
            "idle_cpu_ms": cpu / IDLE_SECONDS * 1e3,
            "wake_ups": waits / IDLE_SECONDS,
            "foreign": foreign,
        }


def all_workloads(bench, filler):
    """What runs each workload, by its key; FILLER is the peer whose client fills the queues that are drained."""

    def calling(size, callers):
        return lambda peer, count: call(bench, peer, count, size, callers)

    def casting(window):
        return lambda peer, count: cast(bench, peer, count, window)

    def draining(peer, count):
        return drain(bench, peer, count, peer if peer.key == "raw" else filler)

    return {
        "w1": calling("280 B", 1),
        "w1-1m": calling("1 MiB", 1),
        "w2-64": calling("280 B", 64),
        "w2-256": calling("280 B", 256),
        "w2-64-16k": calling("16 KiB", 64),
        "w3-drain": draining,
        "w3-cast": casting(0),
        "w3-cast-each": casting(1),
        "w3-cast-64": casting(64),
        "w4-fanout": lambda peer, count: fanout(bench, peer, count),
        "w5-idle": lambda peer, count: idle(bench, peer, count),
    }
