"""Reads JSON as a Python service does, to compare with what the package reads.

Each line of the input is a letter and a text in hexadecimal: `d` for a document, `e` for a message's body, whose payload
is wanted. Each line of the output is a word that says the value exactly, or `refused`; for documents also how
`json.dumps` writes it.
"""

import json
import struct
import sys

sys.setrecursionlimit(20000)
if hasattr(sys, "set_int_max_str_digits"):
    sys.set_int_max_str_digits(0)


def text(value):
    # A surrogate without its other half is what Swift's strings cannot hold.
    return "".join("\ufffd" if 0xD800 <= ord(c) <= 0xDFFF else c for c in value)


def members(pairs):
    # Python keeps the last of equal keys, and keys that differ in such surrogates alone become equal here.
    return {text(key): value for key, value in pairs}


def read(data):
    return json.loads(data.decode("utf-8"), object_pairs_hook=members)


def exact(value):
    if value is None:
        return "n"
    if value is True:
        return "t"
    if value is False:
        return "f"
    if isinstance(value, int):
        return "i%d" % value
    if isinstance(value, float):
        return "dnan" if value != value else "d" + struct.pack(">d", value).hex()
    if isinstance(value, str):
        return "s" + text(value).encode("utf-8").hex()
    if isinstance(value, list):
        return "[" + ",".join(exact(element) for element in value) + "]"
    keys = sorted(value, key=lambda key: key.encode("utf-8"))
    return "{" + ",".join(key.encode("utf-8").hex() + ":" + exact(value[key]) for key in keys) + "}"


def payload(data):
    """The payload of a message as oslo.messaging's drivers take it out of its envelope."""
    body = read(data)
    if not isinstance(body, dict):
        raise ValueError("no object")
    if "oslo.version" in body and "oslo.message" in body:
        if body["oslo.version"] not in ("2.0", "2.0.0"):
            raise ValueError("another version")
        body = json.loads(body["oslo.message"], object_pairs_hook=members)
        if not isinstance(body, dict):
            raise ValueError("no object")
    return body


def main():
    for line in sys.stdin:
        kind, data = line[0], bytes.fromhex(line[1:])
        try:
            if kind == "e":
                print(exact(payload(data)))
            else:
                value = read(data)
                written = json.dumps(value, separators=(",", ":"))
                print(exact(value), written.encode("ascii").hex())
        except (ValueError, TypeError, RecursionError):
            print("refused")


main()
