"""An oslo.messaging RPC server with methods of every kind.

    server.py --url URL --topic TOPIC --server NAME [--exchange NAME]

Prints READY, then serves until standard input closes. Endpoints: null namespace version 1.5, namespace "alpha"
version 2.3.
"""

import argparse
import threading
import time

import peer  # before oslo_messaging, whose warnings it silences
from peer_exceptions import PeerError

import oslo_messaging


def _raise_chained():
    try:
        raise KeyError("inner")
    except KeyError as error:
        raise RuntimeError("outer") from error


class Endpoint:
    """The methods in the null namespace."""

    target = oslo_messaging.Target(version="1.5")

    def __init__(self, name):
        self._name = name
        self._received = []
        self._arrived = threading.Condition()

    def echo(self, context, value):
        return value

    def add(self, context, a, b):
        return a + b

    def whoami(self, context):
        return self._name

    def context(self, context):
        return context

    def big(self, context, exponent):
        return 2**exponent

    def blob(self, context, size):
        return "x" * size

    def special(self, context):
        return [float("nan"), float("inf"), float("-inf"), -0.0, 1e300]

    def nothing(self, context):
        return None

    def slow(self, context, seconds):
        time.sleep(seconds)
        return seconds

    def fail(self, context, kind):
        if kind == "value":
            raise ValueError("bad value")
        if kind == "key":
            raise KeyError("no such key")
        if kind == "unicode":
            raise ValueError("größer als 10 – 无效 😀")
        if kind == "custom":
            raise PeerError(subject="volumes")
        if kind == "arguments":
            raise OSError(28, "No space left on device")
        if kind == "chained":
            _raise_chained()
        raise NotImplementedError(kind)

    @oslo_messaging.expected_exceptions(PeerError)
    def fail_expected(self, context):
        raise PeerError("expected")

    def unserialisable(self, context):
        """The server sends no reply at all to this one: the caller must time out."""
        return object()

    def record(self, context, **values):
        """For casts and fanout casts: remember what came."""
        with self._arrived:
            self._received.append(values)
            self._arrived.notify_all()

    def received(self, context, count=0, seconds=5):
        """What `record` was given; waits until that are `count` entries."""
        with self._arrived:
            self._arrived.wait_for(lambda: len(self._received) >= count, seconds)
            return list(self._received)


class AlphaEndpoint:
    """The methods in the namespace "alpha"."""

    target = oslo_messaging.Target(namespace="alpha", version="2.3")

    def echo(self, context, value):
        return ["alpha", value]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--server", required=True)
    parser.add_argument("--exchange")
    arguments = parser.parse_args()
    peer.serve(
        peer.make_transport(arguments.url, arguments.exchange),
        oslo_messaging.Target(topic=arguments.topic, server=arguments.server),
        [Endpoint(arguments.server), AlphaEndpoint()],
    )


if __name__ == "__main__":
    main()
