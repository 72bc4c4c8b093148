"""Reads the event stream of `swift test` and fails when a test did not run, or a test target has none.

    test_events.py FILE... [--partial] [--without TARGET] [--suites PATTERNS]

Swift Testing reports success when tests were skipped, or when none was found: here both are failures. What failed is
told again, since thousands of lines may stand between it and the end. With --partial (a filtered run) the targets are
not compared; --without names one that is run by another script. --suites has regular expressions, separated by spaces:
of each of them a test must have run.
"""

import json
import pathlib
import re
import sys

SLOWEST = 5
LONGEST = 600  # characters of an issue's text


def records(paths):
    for path in paths:
        with open(path) as stream:
            yield from map(json.loads, stream)


def what(payload):
    """What an issue's event says, on one line, with its place."""
    text = " ".join(" ".join(message["text"] for message in payload.get("messages", [])).split())
    place = payload.get("issue", {}).get("sourceLocation", {})
    return "%s (%s:%s)" % (text[:LONGEST], place.get("fileID", "?"), place.get("line", "?"))


def main():
    arguments = sys.argv[1:]
    partial = "--partial" in arguments
    elsewhere = arguments[arguments.index("--without") + 1] if "--without" in arguments else None
    wanted = arguments[arguments.index("--suites") + 1] if "--suites" in arguments else ""
    options = ("--partial", "--without", elsewhere, "--suites", wanted)
    paths = [argument for argument in arguments if argument not in options]
    for path in paths:
        if not pathlib.Path(path).is_file():
            sys.exit("    FAILED: swift test wrote no events: nothing ran")
    names, cases, events = {}, {}, {}
    started, durations = {}, {}
    runs_ended = 0
    problems = []
    for record in records(paths):
        payload = record["payload"]
        if record["kind"] == "test":
            if payload["kind"] == "function":
                names[payload["id"]] = payload.get("displayName") or payload["name"]
                if payload.get("isParameterized"):
                    cases[payload["id"]] = 0
            continue
        kind, test = payload["kind"], payload.get("testID")
        runs_ended += kind == "runEnded"
        if kind == "testCaseEnded" and test in cases:
            cases[test] += 1
        elif kind == "issueRecorded" and not payload.get("issue", {}).get("isKnown"):
            problems.append("%s: %s" % (names.get(test, "outside of a test"), what(payload)))
        elif kind in ("testSkipped", "testCancelled", "testStarted", "testEnded"):
            events.setdefault(kind, set()).add(test)
        instant = payload.get("instant", {}).get("absolute", 0)
        if kind == "testStarted":
            started[test] = instant
        elif kind == "testEnded" and test in started:
            durations[test] = instant - started[test]

    if runs_ended < len(paths):
        problems.append("the run did not come to its end")
    for kind, word in (("testSkipped", "skipped"), ("testCancelled", "cancelled")):
        problems += ["%s: %s" % (word, names[test]) for test in sorted(events.get(kind, ())) if test in names]
    ended = events.get("testEnded", set()) & set(names)
    for test in sorted(set(names) - ended - events.get("testSkipped", set())):
        problems.append("did not end: %s" % names[test])
    problems += ["no argument to run with: %s" % names[test] for test in sorted(cases) if cases[test] == 0]
    if not ended:
        problems.append("no test ran")
    targets = {test.split(".", 1)[0] for test in ended}
    for suite in wanted.split():
        if not any(re.search(suite, test) for test in ended):
            problems.append("no test of %s ran" % suite)
    if not partial:
        for directory in sorted(pathlib.Path("Tests").glob("*Tests")):
            if directory.name not in targets | {elsewhere} and any(directory.rglob("*.swift")):
                problems.append("no test of the target %s ran" % directory.name)

    print("    %d tests of %d targets ran" % (len(ended), len(targets)))
    for test in sorted(set(durations) & set(names), key=durations.get, reverse=True)[:SLOWEST]:
        if durations[test] >= 1:
            print("    %6.1f s  %s" % (durations[test], names[test]))
    for problem in problems:
        print("    FAILED: %s" % problem)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
