#!/usr/bin/env python3
"""Check that every fault has a test that is named by its number, and a row in the guide.

A test names its fault at the beginning of its title: `fault 17: a queue that is deleted ...`, or `faults 2 and 3: ...`.
"""

import re
import sys
from collections import Counter
from pathlib import Path

FAULTS = range(1, 51)
TITLE = re.compile(r"func\s+`faults? ([\d, and]+):")
ROW = re.compile(r"^\| (\d+) \|", re.MULTILINE)


def main() -> int:
    root = Path(__file__).resolve().parent.parent.parent
    tests: Counter[int] = Counter()
    for path in sorted((root / "Tests").rglob("*.swift")):
        for numbers in TITLE.findall(path.read_text(encoding="utf-8")):
            tests.update(int(number) for number in re.findall(r"\d+", numbers))
    guide = (root / "Sources/MessagingRabbitMQ/MessagingRabbitMQ.docc/Faults.md").read_text(encoding="utf-8")
    rows = {int(number) for number in ROW.findall(guide)}
    problems = [f"no test is named by fault {number}" for number in FAULTS if not tests[number]]
    problems += [f"the guide has no row for fault {number}" for number in FAULTS if number not in rows]
    problems += [f"there is no fault {number}" for number in sorted((set(tests) | rows) - set(FAULTS))]
    print(f"{sum(tests.values())} tests of {len(tests)} faults")
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
