#!/usr/bin/env python3
"""Check that every section of the wire contract on topology, messages, servers and clients has tests that name it.

A test names a section in its title: `wire contract 4.2: a request without a version asks for 1.0`.
"""

import re
import sys
from collections import Counter
from pathlib import Path

SECTIONS = (
    [f"1.{n}" for n in range(1, 5)]
    + [f"2.{n}" for n in range(1, 3)]
    + [f"3.{n}" for n in range(1, 6)]
    + [f"4.{n}" for n in range(1, 6)]
    + [f"5.{n}" for n in range(1, 8)]
)
# A test's or a suite's title, or the sentence of a check of the conformance suite.
TITLE = re.compile(r'(?:func\s+`([^`]*)`|Check\(\s*"([^"]*)"|@Suite\(\s*"([^"]*)"|@Test\(\s*"([^"]*)")')


def main() -> int:
    root = Path(__file__).resolve().parent.parent.parent
    counts: Counter[str] = Counter()
    for folder in ("Tests", "Sources/MessagingTesting"):
        for path in sorted((root / folder).rglob("*.swift")):
            for groups in TITLE.findall(path.read_text(encoding="utf-8")):
                title = "".join(groups)
                if "wire contract" in title:
                    counts.update(set(re.findall(r"\b\d\.\d\b", title.split("wire contract", 1)[1])))
    for section in SECTIONS:
        print(f"wire contract {section}: {counts[section]} tests")
    missing = [section for section in SECTIONS if not counts[section]]
    if missing:
        print(f"no test names {', '.join(missing)}", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
