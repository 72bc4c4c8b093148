"""Runs the workloads, peer after peer within each repetition, and writes figures, table and picture.

scripts/bench starts this with the broker and the programs that it has set up.
"""

import argparse
import json
import os
import pathlib
import platform
import signal
import sys
import time

import goals
import payload
import peers
import plot
import report
import workloads
from processes import Failure

# Above this share of the machine, what others used of it is too much: the run is repeated.
FOREIGN_LIMIT = 0.12
ATTEMPTS = 3
KEYS = list(peers.RATES)
# What `scripts/bench quick` runs.
QUICK = ["w1", "w2-64", "w2-64-16k", "w3-drain", "w3-cast", "w3-cast-64", "w4-fanout", "w5-idle"]


class Runner:
    """Runs workloads, repeats what was disturbed, and remembers every run."""

    def __init__(self, functions, patience):
        self._functions = functions
        self._sizes = peers.Sizes()
        self._patience = patience  # seconds that repetitions may take in all
        self.runs = []
        self.discarded = []
        self.errors = []

    def run(self, workload, peer, repetition):
        """One measurement: the quietest of up to three attempts."""
        attempts = []
        while len(attempts) < ATTEMPTS:
            started = time.monotonic()
            attempt = self._attempt(workload, peer)
            attempt.update(workload=workload, peer=peer.key, repetition=repetition, wall=time.monotonic() - started)
            attempts.append(attempt)
            if "error" not in attempt and not self._is_to_be_repeated(workload, attempt):
                break
            self._patience -= attempt["wall"]
            if self._patience <= 0:
                break
        usable = [attempt for attempt in attempts if "error" not in attempt]
        # The last ones are of the right length.
        best = min(reversed(usable), key=lambda run: (run["is_off"], run.get("foreign", 0)), default=None)
        self.discarded += [attempt for attempt in attempts if attempt is not best]
        if best is None:
            self.errors.append("%s, %s: %s" % (workload, peer.title, attempts[-1]["error"]))
        else:
            self.runs.append(best)
        self._say(workload, peer, repetition, best, len(attempts))

    def _attempt(self, workload, peer):
        count = self._sizes.count(workload, peer.key)
        try:
            figures = self._functions[workload](peer, count)
        except Failure as error:
            return {"error": str(error)}
        figures["is_off"] = False
        if "rate" in figures:
            seconds = count / figures["rate"] if workload != "w4-fanout" else figures["seconds"]
            figures["is_off"] = self._sizes.is_off(seconds)
            self._sizes.learn(workload, peer.key, count / seconds)
        return figures

    def _is_to_be_repeated(self, workload, attempt):
        return attempt["is_off"] or attempt.get("foreign", 0) > FOREIGN_LIMIT

    def _say(self, workload, peer, repetition, run, attempts):
        words = ["    %-13s %-15s %d" % (workload, peer.title, repetition)]
        for key, text in (("rate", "%s/s"), ("p50_us", "p50 %s µs"), ("ready_ms", "ready after %s ms")):
            if run and key in run:
                words.append(text % report.number(run[key]))
        if run and run.get("foreign", 0) > FOREIGN_LIMIT:
            words.append("(others used %.0f %% of the machine)" % (run["foreign"] * 100))
        if attempts > 1:
            words.append("(%d attempts)" % attempts)
        print("  ".join(words) if run else words[0] + "  FAILED", flush=True)


def parse():
    parser = argparse.ArgumentParser(prog="scripts/bench")
    parser.add_argument("set", nargs="?", choices=["full", "quick"], default="full")
    parser.add_argument("--output", type=pathlib.Path, required=True)
    parser.add_argument("--repetitions", type=int)
    parser.add_argument("--workloads", help="only these, by commas: " + ", ".join(KEYS))
    parser.add_argument("--peers", help="only these, by commas: steward, oslo, raw")
    parser.add_argument("--strict", action="store_true")
    for program in ("worker", "load", "python", "raw"):
        parser.add_argument("--" + program, required=True)
    parser.add_argument("--broker", type=int, required=True, help="the broker's process")
    arguments = parser.parse_args()
    arguments.workloads = arguments.workloads.split(",") if arguments.workloads else None
    unknown = set(arguments.workloads or ()) - set(KEYS)
    if unknown:
        parser.error("no such workload: " + ", ".join(sorted(unknown)))
    return arguments


def main():
    # As an exception, so that the servers are ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    arguments = parse()
    is_quick = arguments.set == "quick"
    chosen = arguments.workloads or (QUICK if is_quick else KEYS)
    repetitions = arguments.repetitions or (2 if is_quick else 3)
    programs = peers.all_peers(arguments.worker, arguments.load, arguments.python, arguments.raw)
    wanted = arguments.peers.split(",") if arguments.peers else list(programs)
    arguments.output.mkdir(parents=True, exist_ok=True)
    bench = workloads.Bench(arguments.broker, payload.write_all(arguments.output), arguments.raw)
    runner = Runner(workloads.all_workloads(bench, programs["steward"]), patience=60 if is_quick else 300)

    for workload in chosen:
        for repetition in range(1, repetitions + 1):
            # Each time another one is first.
            for place in range(len(wanted)):
                peer = programs[wanted[(place + repetition) % len(wanted)]]
                runner.run(workload, peer, repetition)

    outcomes = [
        outcome
        for goal in goals.GOALS
        for outcome in (goals.outcome(runner.runs, goal, peer) for peer in ("oslo", "raw"))
        if outcome
    ]
    write(arguments.output, runner, outcomes)
    print()
    print("\n".join(report.lines(runner.runs, chosen, list(programs))))
    missed = sum(not outcome.is_met for outcome in outcomes)
    print("\n%d of %d goals met. Repetitions: %d; medians." % (len(outcomes) - missed, len(outcomes), repetitions))
    print("Ratios are Steward's figure to the peer's. A Go client, which the goals know too, is not part of this.")
    print("Every run and the picture: %s" % arguments.output)
    for error in runner.errors:
        print("error: not measured: %s" % error, file=sys.stderr)
    sys.exit(1 if runner.errors or (arguments.strict and missed) else 0)


def write(output, runner, outcomes):
    machine = {"cpus": os.cpu_count(), "kernel": platform.release(), "load": os.getloadavg()}
    summary = [
        {
            "workload": outcome.goal.workload,
            "title": outcome.goal.title,
            "figure": outcome.goal.figure,
            "peer": outcome.peer,
            "goal": outcome.wanted,
            "ratio": outcome.ratio,
            "is_met": outcome.is_met,
        }
        for outcome in outcomes
    ]
    document = {
        "machine": machine,
        "goals": summary,
        "runs": runner.runs,
        "discarded": runner.discarded,
        "errors": runner.errors,
    }
    (output / "results.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    (output / "goals.svg").write_text(plot.draw(outcomes), encoding="utf-8")


if __name__ == "__main__":
    main()
