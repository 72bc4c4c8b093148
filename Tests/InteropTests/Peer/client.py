"""An oslo.messaging RPC client, driven by lines of JSON.

    client.py --url URL

Prints READY; then, for each command on standard input, one line in answer and in the same order:

    {"op": "call" | "cast" | "fanout", "topic": …, "server": …, "exchange": …, "namespace": …, "version": …,
     "timeout": seconds, "call_monitor_timeout": seconds, "retry": …, "at_least_once": true, "version_cap": …,
     "allowed_remote_exmods": [modules], "context": {…}, "method": …, "args": {…}}

    {"result": …, "seconds": …}
    {"raised": class, "module": …, "exc_type": …, "message": …, "traceback": …, "args": […], "seconds": …}

Only op, topic and method are required. `raised` is what the Python caller sees; `exc_type` is the class at the
server when that is a RemoteError. Ends when standard input closes, after the commands that came before, but 10 s
later at most.
"""

import argparse
import json
import os
import queue
import sys
import threading
import time

import peer  # before oslo_messaging, whose warnings it silences

import oslo_messaging

_TARGET = ("exchange", "topic", "server", "namespace", "version")
_SCOPE = ("timeout", "call_monitor_timeout", "retry")


class Client:
    """Runs commands, with one transport for each list of allowed modules."""

    def __init__(self, url):
        self._url = url
        self._transports = {}

    def run(self, command):
        started = time.monotonic()
        try:
            answer = {"result": self._perform(command)}
        except Exception as error:
            answer = _describe(error)
        answer["seconds"] = round(time.monotonic() - started, 3)
        return answer

    def _perform(self, command):
        modules = tuple(command.get("allowed_remote_exmods", ()))
        if modules not in self._transports:
            self._transports[modules] = peer.make_transport(self._url, allowed_remote_exmods=modules)
        client = oslo_messaging.get_rpc_client(
            self._transports[modules],
            oslo_messaging.Target(**_pick(command, _TARGET)),
            version_cap=command.get("version_cap"),
        )
        scope = _pick(command, _SCOPE)
        if command.get("at_least_once"):
            scope["transport_options"] = oslo_messaging.TransportOptions(at_least_once=True)
        if command["op"] == "fanout":
            scope["fanout"] = True
        if command["op"] != "call":
            # they make no sense without a reply, and prepare() refuses nothing
            scope.pop("timeout", None)
            scope.pop("call_monitor_timeout", None)
        prepared = client.prepare(**scope)
        send = {"call": prepared.call, "cast": prepared.cast, "fanout": prepared.cast}[command["op"]]
        return send(command.get("context", {}), command["method"], **command.get("args", {}))


def _pick(command, names):
    return {name: command[name] for name in names if command.get(name) is not None}


def _describe(error):
    return {
        "raised": type(error).__name__,
        "module": type(error).__module__,
        "exc_type": getattr(error, "exc_type", None),
        "message": getattr(error, "value", None) or str(error),
        "traceback": getattr(error, "traceback", None),
        "args": [repr(argument) for argument in error.args],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", required=True)
    client = Client(parser.parse_args().url)

    # The commands run in a thread of their own, so that the end of standard input is seen during a call.
    commands = queue.Queue()

    def work():
        while (line := commands.get()) is not None:
            try:
                command = json.loads(line)
            except ValueError as error:
                command = None
                peer.write_line({"raised": "BadCommand", "message": str(error)})
            if command is not None:
                peer.write_line(client.run(command))

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    peer.write_line("READY")
    for line in sys.stdin:
        if line.strip():
            commands.put(line)
    commands.put(None)
    worker.join(10)
    os._exit(0)  # a call that hangs would keep the process


if __name__ == "__main__":
    main()
