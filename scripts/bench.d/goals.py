"""What the project wants to reach, as ratios to oslo.messaging and to librabbitmq, and what was reached."""

import statistics
import typing


class Goal(typing.NamedTuple):
    """A figure of a workload, and the ratios that it should have; None where there is no goal."""

    workload: str
    title: str
    figure: str
    oslo: float
    raw: float = None

    @property
    def more_is_better(self):
        return self.figure == "rate"


GOALS = (
    Goal("w1", "One caller, 280 B: calls/s", "rate", 5, 0.8),
    Goal("w1", "One caller, 280 B: median µs", "p50_us", 0.16, 1.3),
    Goal("w1-1m", "One caller, 1 MiB: calls/s", "rate", 4, 0.14),
    Goal("w2-64", "64 callers, 280 B: calls/s", "rate", 30, 0.75),
    Goal("w2-64", "64 callers, 280 B: server CPU, µs/call", "server_cpu_us", 1 / 40, 2.7),
    Goal("w2-64", "64 callers, 280 B: client CPU, µs/call", "client_cpu_us", 1 / 40, 2.7),
    Goal("w2-256", "256 callers, 280 B: calls/s", "rate", 30, 0.75),
    Goal("w2-256", "256 callers, 280 B: server CPU, µs/call", "server_cpu_us", 1 / 40, 2.7),
    Goal("w2-256", "256 callers, 280 B: client CPU, µs/call", "client_cpu_us", 1 / 40, 2.7),
    Goal("w2-64-16k", "64 callers, 16 KiB: calls/s", "rate", 8, 0.2),
    Goal("w2-64-16k", "64 callers, 16 KiB: server CPU, µs/call", "server_cpu_us", 1 / 8),
    Goal("w3-drain", "A full queue: messages/s", "rate", 13, 1.1),
    Goal("w3-drain", "A full queue: CPU, µs/message", "server_cpu_us", 1 / 20),
    Goal("w3-cast", "Casts, no confirm: casts/s", "rate", 25, 0.85),
    Goal("w3-cast-each", "Casts, each confirmed: casts/s", "rate", 4, 0.85),
    Goal("w3-cast-64", "Casts, 64 unconfirmed: casts/s", "rate", 22, 0.85),
    Goal("w4-fanout", "Fanout to 50 servers: deliveries/s", "rate", 45, 0.75),
    Goal("w5-idle", "Start until ready, ms", "ready_ms", 1 / 15),
    Goal("w5-idle", "Idle: memory, MB", "server_memory_mb", 1 / 3),
    Goal("w5-idle", "Idle: CPU, ms/s", "idle_cpu_ms", 1),
)
# Less is nothing that the accounts can tell.
_LEAST = {"idle_cpu_ms": 0.05}


class Outcome(typing.NamedTuple):
    """A goal beside one peer, and what was measured."""

    goal: Goal
    peer: str
    wanted: float
    ratio: float

    @property
    def factor(self):
        """1 is the goal exactly, 2 twice as good."""
        return self.ratio / self.wanted if self.goal.more_is_better else self.wanted / self.ratio

    @property
    def is_met(self):
        return self.factor >= 1


def median(runs, workload, peer, figure):
    """The median of the runs; None without any."""
    values = [
        run[figure] for run in runs if run["workload"] == workload and run["peer"] == peer and figure in run
    ]
    return statistics.median(values) if values else None


def outcome(runs, goal, peer):
    """None where there is no goal, or nothing was measured."""
    wanted = {"oslo": goal.oslo, "raw": goal.raw}[peer]
    ours, theirs = (median(runs, goal.workload, key, goal.figure) for key in ("steward", peer))
    if wanted is None or ours is None or theirs is None:
        return None
    least = _LEAST.get(goal.figure, 1e-9)
    return Outcome(goal, peer, wanted, max(ours, least) / max(theirs, least))
