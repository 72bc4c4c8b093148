"""Prints what the tests of the faults measured as a table, Steward beside oslo.messaging.

    table.py FILE

Each line of FILE is a JSON object: fault, who, what, and seconds or count (and lost). Of several runs the slowest counts.
"""

import json
import sys


def text(record):
    if "seconds" in record:
        seconds = record["seconds"]
        shown = "never" if seconds is None else "%.2f s" % seconds
    else:
        shown = str(record["count"])
    if record.get("lost"):
        shown += ", %d lost" % record["lost"]
    return shown


def worse(first, second):
    def key(record):
        value = record.get("seconds", record.get("count"))
        return (record.get("lost", 0), float("inf") if value is None else value)

    return first if key(first) >= key(second) else second


def main():
    rows = {}
    with open(sys.argv[1]) as stream:
        for line in stream:
            record = json.loads(line)
            who = rows.setdefault((record["fault"], record["what"]), {})
            name = record["who"]
            who[name] = worse(who[name], record) if name in who else record
    print("| # | measured | Steward | oslo.messaging |")
    print("|---|---|---|---|")
    for (fault, what), who in sorted(rows.items()):
        cells = [text(who[name]) if name in who else "–" for name in ("Steward", "oslo.messaging")]
        print("| %d | %s | %s |" % (fault, what, " | ".join(cells)))


if __name__ == "__main__":
    main()
