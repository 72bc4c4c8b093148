"""Counts what single operations cost, and compares that with the baseline.

    micro.py PROGRAM [--update] [NAME...]

Each operation runs under callgrind, N times and 2 N times; the difference is what N of them cost, without what it took to
start. A count above the baseline by more than the tolerance is an error; one below it by as much is only told, so that
somebody updates the baseline.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import platform
import re
import subprocess
import sys
import tempfile

BASELINE = pathlib.Path(__file__).parent / "micro-baseline.json"
# Some of the runtime's own work differs a little from run to run; no allocation does.
TOLERANCE = {"instructions": 0.10, "allocations": 0.05}
ALLOCATORS = {"malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc", "memalign"}

# A function's name stands once, behind its number: "cfn=(12) malloc", later only "cfn=(12)".
_CALLED = re.compile(r"^cfn=\((\d+)\)(?: (.*))?$")
_NAMED = re.compile(r"^fn=\((\d+)\)(?: (.*))?$")


def read_profile(path):
    """The instructions of a whole run, and how often memory was allocated."""
    names, instructions, allocations, called = {}, None, 0, None
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            match = _CALLED.match(line) or _NAMED.match(line)
            if match:
                if match[2]:
                    names[match[1]] = match[2]
                called = names.get(match[1])
            elif line.startswith("calls="):
                # calls=COUNT POSITION, of the function named last; the C library's names may have a suffix.
                if called and called.split("'")[0].split("@")[0] in ALLOCATORS:
                    allocations += int(line[len("calls=") :].split()[0])
            elif line.startswith("summary:"):
                instructions = int(line.split()[1])
    if instructions is None:
        raise ValueError("%s has no summary" % path)
    return instructions, allocations


def run(program, name, iterations):
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "profile")
        command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=" + path, program, name, str(iterations)]
        # Sets and dictionaries are in the same order each time.
        environment = dict(os.environ, SWIFT_DETERMINISTIC_HASHING="1", LC_ALL="C")
        result = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False
        )
        if result.returncode != 0:
            sys.exit("error: %s failed (%d)\n%s" % (name, result.returncode, result.stderr[-2000:]))
        return read_profile(path)


def measure(program, name, iterations):
    """What one operation costs."""
    once, twice = run(program, name, iterations), run(program, name, 2 * iterations)
    instructions, allocations = ((more - less) / iterations for less, more in zip(once, twice))
    return {"instructions": round(instructions), "allocations": round(allocations, 2)}


def measure_all(program, chosen):
    lines = subprocess.run([program, "list"], stdout=subprocess.PIPE, text=True, timeout=60, check=True).stdout
    benchmarks = [line.split() for line in lines.splitlines()]
    known = [name for name, _ in benchmarks]
    for name in chosen:
        if name not in known:
            sys.exit("error: there is no operation %s, but %s" % (name, ", ".join(known)))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return {
            name: figures
            for name, figures in pool.map(
                lambda entry: (entry[0], measure(program, entry[0], int(entry[1]))),
                [entry for entry in benchmarks if not chosen or entry[0] in chosen],
            )
        }


def _text(count):
    return "%d" % count if count == int(count) else "%.2f" % count


def compare(measured, baseline):
    """Print a table; answer the names of what has become dearer, or has no baseline."""
    print("%-22s %14s %14s %8s %12s %12s %8s" % ("", "instructions", "baseline", "", "allocations", "baseline", ""))
    dearer = []
    cheaper = False
    for name, figures in measured.items():
        cells, verdict = ["%-22s" % name], ""
        for kind, wide in (("instructions", 14), ("allocations", 12)):
            now, before = figures[kind], baseline.get(name, {}).get(kind)
            cells.append("%*s" % (wide, _text(now)))
            if before is None:
                cells += ["%*s" % (wide, "none"), " " * 8]
                verdict = "  no baseline"
                continue
            change = now / before - 1 if before else float(now > 0)
            cells += ["%*s" % (wide, _text(before)), "%+7.1f%%" % (100 * change)]
            if now > before * (1 + TOLERANCE[kind]) + 0.01:
                verdict = "  DEARER"
            elif change < -TOLERANCE[kind]:
                cheaper = True
        if verdict:
            dearer.append(name)
        print(" ".join(cells) + verdict)
    if cheaper:
        print("Some are cheaper than the baseline by more than the tolerance: update it, so that it stays so.")
    return dearer


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench micro")
    parser.add_argument("program", help=argparse.SUPPRESS)
    parser.add_argument("--update", action="store_true", help="make the baseline anew")
    parser.add_argument("name", nargs="*", help="only these operations")
    arguments = parser.parse_args()
    document = json.loads(BASELINE.read_text(encoding="utf-8")) if BASELINE.exists() else {}
    machine = platform.machine()
    baseline = document.get(machine, {})
    measured = measure_all(arguments.program, arguments.name)
    dearer = compare(measured, baseline)
    if arguments.update:
        # What no longer exists goes, unless only some were measured.
        document[machine] = {**baseline, **measured} if arguments.name else measured
        BASELINE.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        print("The baseline is updated: %s" % BASELINE.name)
    elif dearer:
        print("error: dearer than the baseline allows: %s" % ", ".join(dearer), file=sys.stderr)
        print("If it must be so: scripts/bench micro --update, and say why in the commit.", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
