"""Makes the fuzzers' first inputs of what was captured on the wire.

    corpus.py DIRECTORY

Each target gets a folder of its own. Beside the captured messages there are the shapes that nobody sends: frames of
every kind, packed bodies, headers of dead letters.
"""

import base64
import bz2
import hashlib
import json
import pathlib
import struct
import sys
import zlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
MESSAGES = ROOT / "Tests/MessagingTests/Fixtures"
PLACES = ROOT / "Tests/MessagingRabbitMQTests/Fixtures"


def strings(value):
    """All strings in a JSON value, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for element in value:
            yield from strings(element)
    elif isinstance(value, dict):
        for key, element in value.items():
            yield key
            yield from strings(element)


def short(text):
    data = text.encode()[:255]
    return bytes([len(data)]) + data


def long(data):
    return struct.pack(">I", len(data)) + data


def field(value):
    """A value of a table, by its type in Python; (TAG, BYTES) for the others."""
    if isinstance(value, tuple):
        return value[0] + value[1]
    if isinstance(value, bool):
        return b"t" + bytes([value])
    if isinstance(value, int):
        return b"l" + struct.pack(">q", value)
    if isinstance(value, float):
        return b"d" + struct.pack(">d", value)
    if isinstance(value, str):
        return b"S" + long(value.encode())
    if isinstance(value, list):
        return b"A" + long(b"".join(field(element) for element in value))
    if isinstance(value, dict):
        return b"F" + table(value)
    return b"V"


def table(members):
    return long(b"".join(short(name) + field(value) for name, value in members.items()))


ALL_TYPES = {
    "text": "x", "number": -1, "ratio": 0.5, "flag": True, "nothing": None, "list": [1, "a", [None]],
    "table": {"deeper": {"still": 1}}, "i8": (b"b", b"\xff"), "u8": (b"B", b"\xff"), "i16": (b"s", b"\xff\xfe"),
    "u16": (b"u", b"\xff\xfe"), "i32": (b"I", b"\xff" * 4), "u32": (b"i", b"\xff" * 4), "u64": (b"L", b"\xff" * 8),
    "single": (b"f", b"\x40\x00\x00\x00"), "decimal": (b"D", b"\x02" + b"\x00\x00\x01\x00"),
    "bytes": (b"x", long(b"\x00\xff")), "time": (b"T", struct.pack(">Q", 1_700_000_000)),
}


def frame(kind, channel, payload, end=0xCE):
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + bytes([end])


def method(channel, class_id, method_id, arguments=b""):
    return frame(1, channel, struct.pack(">HH", class_id, method_id) + arguments)


def header(channel, size, properties, headers):
    flags, fields = 0, b""
    names = ["content_type", "content_encoding", "headers", "delivery_mode", "priority", "correlation_id", "reply_to",
             "expiration", "message_id", "timestamp", "type", "user_id", "app_id", "cluster_id"]
    for bit, name in zip(range(15, -1, -1), names):
        value = headers if name == "headers" and headers else properties.get(name)
        if value is None:
            continue
        flags |= 1 << bit
        if name == "headers":
            fields += table(value)
        elif name in ("delivery_mode", "priority"):
            fields += bytes([value & 0xFF])
        elif name == "timestamp":
            fields += struct.pack(">Q", int(value))
        else:
            fields += short(str(value))
    return frame(2, channel, struct.pack(">HHQH", 60, 0, size, flags) + fields)


def delivered(body, properties, headers, pieces=1):
    deliver = method(1, 60, 60, short("tag") + struct.pack(">Q", 1) + b"\x00" + short("exchange") + short("topic"))
    size = max(1, -(-len(body) // pieces))
    bodies = [frame(3, 1, body[start:start + size]) for start in range(0, len(body), size)]
    return deliver + header(1, len(body), properties, headers) + b"".join(bodies)


def frames():
    """Frames of every kind that a broker sends, and some that none does."""
    close = struct.pack(">H", 320) + short("CONNECTION_FORCED - closed") + struct.pack(">HH", 0, 0)
    usual = [
        method(0, 10, 10, b"\x00\x09" + table({"product": "RabbitMQ", "capabilities": ALL_TYPES})
               + long(b"PLAIN AMQPLAIN") + long(b"en_US")),
        method(0, 10, 30, struct.pack(">HIH", 2047, 131072, 60)),
        method(0, 10, 41, short("")),
        method(0, 10, 50, close),
        method(0, 10, 60, short("low on memory")) + method(0, 10, 61),
        method(1, 20, 11, long(b"")),
        method(1, 20, 20, b"\x01"),
        method(1, 20, 40, close),
        method(1, 50, 11, short("queue") + struct.pack(">II", 1, 2)),
        method(1, 50, 31, struct.pack(">I", 3)) + method(1, 50, 41, struct.pack(">I", 4)),
        method(1, 60, 21, short("tag")) + method(1, 60, 30, short("tag") + b"\x01"),
        method(1, 60, 80, struct.pack(">QB", 1, 1)) + method(1, 60, 120, struct.pack(">QB", 2, 0)),
        method(1, 60, 50, struct.pack(">H", 312) + short("NO_ROUTE") + short("exchange") + short("key"))
        + header(1, 0, {}, ALL_TYPES),
        frame(8, 0, b""),
    ]
    deep = {"a": 1}
    for _ in range(70):
        deep = {"a": deep}
    odd = [
        header(1, 5, {}, {}), frame(3, 1, b"x"), frame(1, 1, b"\x00"), frame(8, 1, b""), frame(4, 1, b"\x00" * 8),
        frame(3, 1, b"x", end=0), b"AMQP\x00\x00\x09\x01", struct.pack(">BHI", 1, 1, 0xFFFFFFFF),
        method(1, 60, 60, b"\xff"), method(1, 999, 1), delivered(b"{}", {"expiration": "x"}, deep),
        delivered(b"{}", dict.fromkeys(["message_id", "type", "user_id", "app_id", "cluster_id"], "x"), ALL_TYPES),
    ]
    return usual + odd


def captured():
    """The captured messages: body, properties, headers."""
    for path in sorted(MESSAGES.glob("*.json")):
        fixture = json.loads(path.read_text(encoding="utf-8"))
        if "body_utf8" in fixture:
            yield path.stem, fixture["body_utf8"].encode(), fixture
        elif "body_base64" in fixture:
            yield path.stem, base64.b64decode(fixture["body_base64"]), fixture
        for probe in fixture.get("probes", []):
            if isinstance(probe.get("sent_body"), str):
                yield path.stem + "-" + probe["probe"], probe["sent_body"].encode(), {}


def letter(body, more):
    headers = {
        "steward-attempts": "5", "steward-replays": "1", "steward-deferrals": "2", "steward-user": "guest",
        "steward-first-time": "2026-11-22T19:30:00.250Z", "steward-last-time": "2026-11-22T19:31:00.000Z",
        "steward-reason": "failed", "steward-error": "ValueError: x", "steward-method": "resize",
        "steward-queue": "topic", "steward-host": "node-1", "steward-unique-id": "0" * 32,
    }
    lines = ["%s: %s" % pair for pair in {**headers, **more}.items()]
    return "\n".join(lines).encode() + b"\n\n" + body


NUMBERS = ["-0", "0.0", "-0.0", "1e308", "1e-400", "1E+2", "123456789012345678901234567890", "NaN", "-Infinity",
           "9223372036854775807", "9223372036854775808", "18446744073709551616", "0.1e1", "5e-324"]
TEXTS = ["\\u00e9", "\\ud83d\\ude00", "\\ud800", "\\ude00\\ud83d", "\\u0000", "\\\"\\\\\\/\\b\\f\\n\\r\\t", "é\U0001F600"]
EVERYTHING = {
    "flag": True, "small": -128, "medium": 4294967295, "large": 18446744073709551615, "whole": -5,
    "huge": 170141183460469231731687303715884105727, "ratio": 0.1, "single": 1.5, "text": "é", "list": [1, 2],
    "lists": [["a"], []], "table": {"a": 1.0}, "color": "red", "nested": {"branch": {"_0": {"nested": {"leaf": {"_0": 1}}}}},
    "value": {"any": [None]}, "range": [1, 5],
}
CONTROL = [
    {"id": "m1"},
    {"topic": "t", "host": "h", "incarnation": "i", "uptime": 1.5, "state": "accepting", "versions": ["1.0", "2.3"],
     "service_version": "1", "running": 1, "concurrency": 64, "waiting": 0},
    {"topic": "t", "host": "h", "exchange": "e", "incarnation": "i", "uptime": 1, "state": "draining",
     "library_version": "1", "service_version": "2", "managed_host": "m", "process_id": 5,
     "endpoints": [{"name": "n", "namespace": None, "version": "1.2", "methods": []}],
     "limits": {"concurrency": 1, "prefetch": 2, "grace_period": 60, "duplicates_window": 3, "body_size": 4,
                "nesting": 5, "arguments": 6}},
]
CONFIGURATION = {
    "host": "node-1", "transport_url": "rabbit://guest:guest@localhost:5672/", "control_exchange": "openstack",
    "topic": "volume", "scheduler_topic": "scheduler", "rpc_response_timeout": 60, "report_interval": 1.5,
    "log_level": "info", "graceful_shutdown_timeout": 0, "executor_thread_pool_size": 64, "rpc_prefetch": 1,
    "rpc_ping_enabled": True,
}


# What oslo.config's format has of its own: references, values over several lines, quotes, sections.
INI = [
    "host = $topic$$\ntopic = ${control_exchange}\\$x", "host = $host", "host = $topic\ntopic = $host",
    "host = a\n  b\n\tc\n\nd: 'e'", "enabled_backends = a, b,\n c\n[a]\ncapacity = 3\n[backend_defaults]\nkey = $a.capacity",
    "capacity =\n[old]\nsize = 5\n[Group]\ndelay = 0.5\nmode = FAST\nports = 1,2", "debug = on ; no comment\n# one\n; one",
    "=\n[\n[]\n x\ny\n[z]]", "\n".join("v%d = $v%d$v%d" % (n, n + 1, n + 1) for n in range(30)),
]
YAML = [
    "host: a\nrpc_prefetch: 7\ngroup:\n  delay: 0.5\n  ports: [1, 2]\n", "host: &a b\ntopic: *a\n", "- a\n? b\n: c\n",
    "enabled_backends: [a]\na: {capacity: 3}\nhost: |\n  x\n  y\n", "host: 'a'\nhost: \"\\u00e9\"\n--- !!str x\n...\n",
    "debug: yes\nreport_interval: 1e3\nmode: ~\n# x\n", "a: !!binary aGk=\nb: 2001-01-01\nc: 0x1F\nd: .inf\n",
]

DATABASES = [
    "postgresql://u:p%40@[::1]:5433,h/db?sslmode=verify-full&connect_timeout=3", "postgres://h",
    "postgresql:///db?host=/run",
    "postgresql+psycopg2://u@h/db?options=-c%20a%3Db", "postgresql://h?nonsense=1", "mysql://h", "postgresql://%zz",
]
TRACES = [
    "00-%s-%s-01" % ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"), "00-%s-%s-00" % ("0" * 32, "0" * 16),
    "cc-%s-%s-01-more" % ("a" * 32, "b" * 16), "ff-%s-%s-01" % ("a" * 32, "b" * 16),
    "00-%s-%s-01\nrojo=00f067aa0ba902b7,congo=t61rcWkgMzE" % ("a" * 32, "b" * 16),
]
PROBES = [
    "GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n", "HEAD /livez?x HTTP/1.0\n\n",
    "\r\n\r\nGET /metrics HTTP/1.1\r\n\r\n",
    "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", "GET / HTTP/2.0\r\n\r\n", "GET x\r\n\r\n", "\r\r\n\n\r",
    "GET /%s HTTP/1.1\r\n\r\n" % ("a" * 9000),
]


def inputs():
    """Pairs of a target's name and an input."""
    for _, body, fixture in captured():
        properties, headers = fixture.get("properties", {}), fixture.get("headers", {})
        yield "frames", b"\xff" + delivered(body, properties, headers)
        yield "letter", letter(body, headers)
        yield "letter", b"\n" + body
        for target in ("request", "reply", "json"):
            yield target, body
        payload = fixture.get("body_json", {}).get("oslo.message")
        if payload:
            text = json.dumps(payload).encode()
            for target in ("request", "reply", "json", "typed"):
                yield target, text
        if "failure_json" in fixture:
            yield "failure", json.dumps(fixture["failure_json"]).encode()
        for mode in (b"\x02", b"\x03"):
            yield "compression", mode + body[:4096]
        yield "compression", b"\x00" + zlib.compress(body)
        yield "compression", b"\x01" + bz2.compress(body)
        packer = zlib.compressobj(wbits=31)
        yield "compression", b"\x00" + packer.compress(body) + packer.flush()
    yield "compression", b"\x00" + zlib.compress(bytes(1 << 22))
    yield "compression", b"\x01" + bz2.compress(bytes(1 << 22))
    for part in frames():
        yield "frames", b"\xff" + part
        yield "frames", b"\x00" + part
    for text in ["[%s]" % ",".join(NUMBERS), "[%s]" % ",".join('"%s"' % text for text in TEXTS), "[" * 300,
                 '{"a":1,"a":2}', " [ 1 , { } ] "] + NUMBERS:
        for target in ("json", "typed", "failure"):
            yield target, text.encode()
    yield "typed", json.dumps(EVERYTHING).encode()
    yield "typed", json.dumps({"a": [EVERYTHING]}).encode()
    yield "request", json.dumps({"method": "m", "args": EVERYTHING, "_timeout": "5"}).encode()
    for value in CONTROL:
        yield "control", json.dumps(value).encode()
    for path in sorted(PLACES.glob("transport_urls.json")):
        for text in strings(json.loads(path.read_text(encoding="utf-8"))):
            if "://" in text:
                yield "url", text.encode()
    for text in ["amqps://u:p%40@[::1]:5673,h/v?heartbeat=30&channel_max=5", "rabbit://a:b@c:1,d:e@f:2/%2F?ssl=true"]:
        yield "url", text.encode()
    for text in ["2026-11-22T19:30:00.250Z", "1.0", "2.13", "1.2.3", "null", "1" * 400]:
        yield "text", text.encode()
    for target, texts in {"database": DATABASES, "trace": TRACES}.items():
        for text in texts:
            yield target, text.encode()
    for text in PROBES:
        for size in (b"\x01", b"\xff"):
            yield "http", size + text.encode()
    yield "configuration", json.dumps(CONFIGURATION).encode()
    for name, value in CONFIGURATION.items():
        yield "configuration", json.dumps({name: value}).encode()
    yield "ini", (ROOT / "Tests/WorkerCommandTests/Fixtures/cinder.conf").read_bytes()
    for text in INI:
        yield "ini", ("[DEFAULT]\n%s\n" % text).encode()
    for text in YAML + [json.dumps(CONFIGURATION)]:
        yield "yaml", text.encode()


def main():
    directory = pathlib.Path(sys.argv[1])
    counts = {}
    for target, data in inputs():
        folder = directory / target
        folder.mkdir(parents=True, exist_ok=True)
        (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)
        counts[target] = counts.get(target, 0) + 1
    if len(counts) < 17:
        sys.exit("inputs for %d targets only: %s" % (len(counts), sorted(counts)))
    print(" ".join(sorted(counts)))


if __name__ == "__main__":
    main()
