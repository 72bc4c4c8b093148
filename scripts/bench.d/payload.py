"""The JSON values that the workloads carry: a list of small records, of a certain size as text."""

import json

SIZES = {"280 B": 280, "16 KiB": 16 * 1024, "1 MiB": 1024 * 1024}


def _record(number):
    return {
        "id": "%08d-6d2b-4c0e-9b6e-5c1f3a3a9d01" % number,
        "host": "node-%02d" % (number % 40),
        "status": "available",
        "size": 1 + number % 7,
        "load": 0.25,
        "encrypted": False,
    }


def make(size):
    """The text of a value that has SIZE bytes (up to three fewer where they do not come out even)."""
    records = [_record(0)]
    length = len(json.dumps(records))
    while True:
        record = _record(len(records))
        addition = len(json.dumps(record)) + len(", ")
        if length + addition > size:
            break
        records.append(record)
        length += addition
    # What is left is not enough for a record; a text takes it up.
    missing = size - length
    if missing >= len(', ""'):
        records.append("x" * (missing - len(', ""')))
    return json.dumps(records)


def write_all(directory):
    """Write the values into DIRECTORY; answer their paths by size."""
    paths = {}
    for name, size in SIZES.items():
        paths[name] = directory / ("payload-%d.json" % size)
        paths[name].write_text(make(size), encoding="utf-8")
    return paths
