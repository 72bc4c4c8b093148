"""Checks the cut of the package: imports run only downwards, C is seen by one target, no file is too long.

    layers.py [ROOT]
"""

import pathlib
import re
import sys

# What each target may import directly, top row first: only rows above its own, and only what it is for. What these
# import in turn may be imported too, as its types appear in their interfaces.
LAYERS = {
    "CRabbitMQ": [],
    "CZlib": [],
    "CBzip2": [],
    "Compression": ["CZlib", "CBzip2"],
    "AMQPClient": ["CRabbitMQ"],
    "Messaging": [],
    "MessagingRabbitMQ": ["Messaging", "AMQPClient", "Compression"],
    "MessagingTesting": ["Messaging"],
    "ServiceRuntime": ["Messaging"],
    "ConfigurationYAML": ["ServiceRuntime"],
    "CPostgres": [],
    "PostgreSQL": ["CPostgres"],
    "ServiceDatabase": ["ServiceRuntime", "PostgreSQL"],
    "ServiceHealth": ["ServiceRuntime"],
    "VolumeService": ["ServiceRuntime", "ServiceDatabase"],
    "WorkerCommand": ["VolumeService", "MessagingRabbitMQ", "ConfigurationYAML", "ServiceHealth"],
    "volume-worker": ["WorkerCommand"],
    "scheduler-worker": ["WorkerCommand"],
    "steward": ["MessagingRabbitMQ", "ServiceDatabase"],
    "BenchmarkSupport": ["MessagingRabbitMQ"],
    "bench-worker": ["BenchmarkSupport"],
    "bench-load": ["BenchmarkSupport"],
    "microbenchmarks": ["ServiceRuntime"],
}
# C modules: no other targets see them.
RESERVED = {"CRabbitMQ": {"AMQPClient"}, "CZlib": {"Compression"}, "CBzip2": {"Compression"}, "CPostgres": {"PostgreSQL"}}
LINES = 500

IMPORT = re.compile(
    r"^\s*(?:@\w+(?:\([^)]*\))?\s+)*(?:(?:public|package|internal|fileprivate|private)\s+)?"
    r"import\s+(?:(?:struct|class|enum|protocol|actor|func|var|let|typealias)\s+)?(\w+)"
)


def reachable(target):
    """The targets whose modules `target` may import."""
    found = set()
    pending = list(LAYERS[target])
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            pending += LAYERS[name]
    return {name for name in found if target in RESERVED.get(name, {target})}


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    modules = {name.replace("-", "_"): name for name in LAYERS}
    problems = []
    files = 0
    for path in sorted((root / "Sources").rglob("*.swift")) + sorted((root / "Tests").rglob("*.swift")):
        files += 1
        relative = path.relative_to(root)
        text = path.read_text(encoding="utf-8")
        if text.count("\n") > LINES:
            problems.append("%s has %d lines, more than %d" % (relative, text.count("\n"), LINES))
        kind, target = relative.parts[0], relative.parts[1]
        checked = kind == "Sources" and target != "Benchmarks"
        if checked and target not in LAYERS:
            problems.append("%s: the target %s is not in the table of layers" % (relative, target))
            continue
        for number, line in enumerate(text.splitlines(), 1):
            match = IMPORT.match(line)
            name = match and modules.get(match.group(1))
            if not name or name == target:
                continue
            place = "%s:%d: %s" % (relative, number, line.strip())
            if not checked:
                if name in RESERVED and target not in {owner + "Tests" for owner in RESERVED[name]}:
                    problems.append("%s - C belongs to %s alone" % (place, ", ".join(RESERVED[name])))
            elif name not in reachable(target):
                problems.append("%s - %s may not import it" % (place, target))
    for problem in problems:
        print(problem)
    if files == 0:
        problems.append("no Swift file was found")
        print(problems[-1])
    print("%d files looked at, %d problems" % (files, len(problems)))
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
