"""What oslo.messaging does under the same faults: one client that calls all the time, one server, a private node.

    oslo.py [--figures FILE] [--faults 2,3,8,13,15,17,24,36,18,40] [--heartbeat SECONDS]

Run it with a Python that has oslo.messaging (STEWARD_PEER_PYTHON). Prints a line of JSON for each fault, and adds it to
FILE if there is one:

    {"fault": 2, "who": "oslo.messaging", "what": "answering after the broker", "seconds": 6.1, "lost": 0}

`seconds` go from the return of the broker, or from the fault where the broker stayed, to the first answer; `lost` are
calls that ended in an error; without `seconds` there was no answer for a minute. For fault 40 a `count` says how many
casts were accepted and never carried out. The options of the library are its own, apart from durable queues and the
heartbeat, which are those of the Swift tests.
"""

import argparse
import base64
import json
import logging
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
import warnings

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOPIC, HOST, EXCHANGE = "faults", "host", "faults"
CALL_TIMEOUT = 10  # seconds
PAUSE = 0.05
CASTS = 40


# --- the two programs that are hurt -------------------------------------------------------------------------------


def messaging(heartbeat):
    """The library with a transport."""
    warnings.simplefilter("ignore")  # oslo.service imports eventlet, which announces its own end
    from oslo_config import cfg
    import oslo_messaging

    logging.basicConfig(level=logging.CRITICAL)
    configuration = cfg.CONF
    configuration([], project="faults", default_config_files=[], default_config_dirs=[])
    url = "rabbit://" + os.environ["AMQP_URL"].split("://", 1)[1]
    transport = oslo_messaging.get_rpc_transport(configuration, url=url)
    group = "oslo_messaging_rabbit"
    configuration.set_override("amqp_durable_queues", True, group)
    configuration.set_override("heartbeat_timeout_threshold", heartbeat, group)
    return oslo_messaging, transport


def serve(heartbeat, journal):
    oslo_messaging, transport = messaging(heartbeat)

    class Endpoint:
        def echo(self, context, number):
            return number

        def work(self, context, number, seconds):
            time.sleep(seconds)
            # One write of a few bytes at the end: nothing of it is lost with the process.
            with open(journal, "a") as file:
                file.write("%d\n" % number)

    server = oslo_messaging.get_rpc_server(
        transport,
        oslo_messaging.Target(exchange=EXCHANGE, topic=TOPIC, server=HOST),
        [Endpoint()],
        executor="threading",
        access_policy=oslo_messaging.DefaultRPCAccessPolicy,
    )
    server.start()
    print("READY", flush=True)
    threading.Event().wait()


def call(heartbeat):
    """Calls one after the other, and prints a line for each: when it began, when it ended, and its error."""
    oslo_messaging, transport = messaging(heartbeat)
    target = oslo_messaging.Target(exchange=EXCHANGE, topic=TOPIC, server=HOST)
    client = oslo_messaging.get_rpc_client(transport, target, timeout=CALL_TIMEOUT)
    number = 0
    print("READY", flush=True)
    while True:
        began, error = time.monotonic(), None
        try:
            if client.call({}, "echo", number=number) != number:
                error = "the answer to another call"
        except Exception as raised:
            error = type(raised).__name__
        print(json.dumps([began, time.monotonic(), error]), flush=True)
        number += 1
        time.sleep(PAUSE)


def cast(heartbeat):
    """Casts work of 0.1 s, 0.2 s and so on; each cast returns when the broker has confirmed it."""
    oslo_messaging, transport = messaging(heartbeat)
    target = oslo_messaging.Target(exchange=EXCHANGE, topic=TOPIC, server=HOST)
    client = oslo_messaging.get_rpc_client(transport, target)
    for number in range(CASTS):
        client.cast({}, "work", number=number, seconds=0.1 * (number + 1))
    print("READY", flush=True)


# --- what hurts them ----------------------------------------------------------------------------------------------


class Program:
    """One of the programs above, in a process of its own."""

    def __init__(self, name, heartbeat, *arguments):
        command = [sys.executable, __file__, name, "--heartbeat", str(heartbeat), *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.calls = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._is_ready = threading.Event()
        self._reader.start()
        if not self._is_ready.wait(60):
            self.end()
            sys.exit("the program %s did not become ready" % name)

    def _read(self):
        for line in self.process.stdout:
            if line == "READY\n":
                self._is_ready.set()
            else:
                self.calls.append(json.loads(line))

    def end(self):
        self.process.kill()
        self.process.wait()


class Node:
    """A private broker."""

    def __init__(self, directory):
        self.directory = directory / "node"
        self._run("start", "--management")

    def _run(self, *arguments):
        command = [ROOT / "scripts/rabbitmq", *arguments, self.directory]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=120).stdout
        for line in output.splitlines():
            name, _, value = line.removeprefix("export ").partition("=")
            os.environ[name] = value

    def stop(self):
        self._run("stop", "--keep")

    def kill(self):
        self._run("kill")

    def start(self):
        self._run("start")

    def remove(self):
        self._run("stop")

    def signal(self, number):
        os.kill(int((self.directory / "broker.pid").read_text()), number)

    def _ask(self, path, method="GET"):
        address = urllib.parse.urlsplit(os.environ["STEWARD_MANAGEMENT_URL"])
        request = urllib.request.Request(
            "http://%s:%d/api/%s" % (address.hostname, address.port, path), method=method
        )
        credentials = "%s:%s" % (address.username, address.password)
        request.add_header("Authorization", "Basic " + base64.b64encode(credentials.encode()).decode())
        with urllib.request.urlopen(request, timeout=20) as answer:
            text = answer.read()
            return json.loads(text) if text else None

    def control(self, *arguments):
        command = [os.environ["STEWARD_RABBITMQCTL"], "--quiet", *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=60)

    def delete_exchange(self, name):
        self._ask("exchanges/%2F/" + name, "DELETE")

    def close_connections(self):
        # The management learns of connections late.
        for _ in range(100):
            names = [connection["name"] for connection in self._ask("connections") if "name" in connection]
            if len(names) >= 2:
                break
            time.sleep(0.1)
        began = time.monotonic()
        for name in names:
            self._ask("connections/" + urllib.parse.quote(name, safe=""), "DELETE")
        return began, len(names)

    def delete_queues(self):
        names = [queue["name"] for queue in self._ask("queues/%2F") if queue["name"].startswith(TOPIC)]
        began = time.monotonic()
        for name in names:
            self._ask("queues/%2F/" + urllib.parse.quote(name, safe=""), "DELETE")
        return began, len(names)


class Faults:
    """What is done to the broker under calls.

    Each method hurts, and answers what is measured, from when on, and when the fault was complete.
    """

    def __init__(self, node):
        self.node = node

    def broker_restarted(self):
        self.node.stop()
        self.node.start()
        return "answering after the broker", time.monotonic(), None

    def broker_killed(self):
        self.node.kill()
        self.node.start()
        return "answering after the broker", time.monotonic(), None

    def broker_frozen(self, seconds):
        self.node.signal(signal.SIGSTOP)
        time.sleep(seconds)
        self.node.signal(signal.SIGCONT)
        return "answering after %d s of a frozen broker" % seconds, time.monotonic(), None

    def connections_closed(self):
        began, closed = self.node.close_connections()
        if closed < 2:
            sys.exit("fewer than two connections were closed")
        return "answering after the fault", began, time.monotonic()

    def queues_deleted(self):
        began, deleted = self.node.delete_queues()
        if deleted < 2:
            sys.exit("the worker's queues were not found")
        return "answering after the fault", began, time.monotonic()

    def permission_revoked(self):
        self.node.control("set_permissions", "-p", "/", "guest", "^$", "^$", "^$")
        self.node.close_connections()
        time.sleep(4)
        self.node.control("set_permissions", "-p", "/", "guest", ".*", ".*", ".*")
        return "answering after it was allowed again: permission", time.monotonic(), None

    def memory_alarm(self):
        self.node.control("set_vm_memory_high_watermark", "0")
        time.sleep(3)
        self.node.control("set_vm_memory_high_watermark", "0.4")
        return "answering after the end of the alarm", time.monotonic(), None

    def exchange_deleted(self):
        began = time.monotonic()
        self.node.delete_exchange(EXCHANGE)
        return "answering after the deletion of the exchange", began, time.monotonic()

    def of(self, number):
        """The ways in which a fault is injected, by its number."""
        return {
            2: [self.broker_restarted],
            3: [self.broker_killed],
            8: [lambda: self.broker_frozen(6), lambda: self.broker_frozen(15)],
            13: [self.permission_revoked],
            15: [self.connections_closed],
            17: [self.queues_deleted],
            18: [self.exchange_deleted],
            24: [self.memory_alarm],
        }[number]


def hurt(fault, inject, client):
    """Waits for calls to be answered, injects the fault, waits for them to be answered again."""

    def answered(counts, count, limit):
        """When the first of the calls that count was answered, after `count` of them in a row were."""
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            after = [call for call in client.calls if counts(call)]
            if len(after) >= count and all(call[2] is None for call in after[-count:]):
                return next(call[1] for call in after if call[2] is None)
            time.sleep(0.02)
        return None

    begun = time.monotonic()
    if answered(lambda call: call[0] > begun, 20, 60) is None:
        sys.exit("fault %d: no answer before it" % fault)
    begun = time.monotonic()
    what, since, complete = inject()
    # Where the broker was away, a call from before may still be answered; where it stayed, answers go on until the fault
    # is complete. Ten calls without an error, so that what was still under way is over.
    counts = (lambda call: call[1] > since) if complete is None else (lambda call: call[0] > complete)
    first = answered(counts, 10, 60)
    lost = sum(call[2] is not None for call in client.calls if call[1] > begun)
    return {"what": what, "seconds": None if first is None else round(first - since, 3), "lost": lost}


def call_nobody(heartbeat):
    """How long a call takes to end whose server there is not."""
    oslo_messaging, transport = messaging(heartbeat)
    target = oslo_messaging.Target(exchange=EXCHANGE, topic=TOPIC, server="nobody")
    client = oslo_messaging.get_rpc_client(transport, target, timeout=CALL_TIMEOUT)
    began = time.monotonic()
    try:
        client.call({}, "echo", number=1)
    except oslo_messaging.MessagingTimeout:
        print(json.dumps([began, time.monotonic(), "MessagingTimeout"]), flush=True)
    print("READY", flush=True)


def kill_worker(heartbeat, directory, server):
    """Kills the server in the midst of accepted work, starts another one, and counts what was never done."""
    journal = directory / "journal"
    caster = Program("cast", heartbeat)
    # What takes longer than this is under way.
    time.sleep(1.25)
    server.end()
    caster.end()
    again = Program("serve", heartbeat, "--journal", str(journal))
    done, since = set(), time.monotonic()
    # Longer than any of the work takes.
    while time.monotonic() - since < 0.1 * CASTS + 6:
        time.sleep(0.2)
        now = set(journal.read_text().split()) if journal.exists() else set()
        if len(now) > len(done):
            done, since = now, time.monotonic()
    missing = round(100 * (CASTS - len(done)) / CASTS)
    return again, {"what": "accepted casts never carried out, per cent", "count": missing}


def note(fault, figure, path):
    line = json.dumps({"fault": fault, "who": "oslo.messaging", **figure})
    print(line, flush=True)
    if path:
        with open(path, "a") as file:
            file.write(line + "\n")


def measure(arguments):
    directory = pathlib.Path(tempfile.mkdtemp(prefix="steward-oslo."))
    node, programs = None, []
    try:
        node = Node(directory)
        journal = str(directory / "journal")
        server = Program("serve", arguments.heartbeat, "--journal", journal)
        programs.append(server)
        faults = [int(number) for number in arguments.faults.split(",")]
        client = None
        for fault in faults:
            if fault == 40:
                server, figure = kill_worker(arguments.heartbeat, directory, server)
                programs.append(server)
                note(fault, figure, arguments.figures)
                continue
            if fault == 36:
                asked = Program("nobody", arguments.heartbeat)
                programs.append(asked)
                (began, ended, _), = asked.calls
                note(fault, {"what": "a call to nobody ends", "seconds": round(ended - began, 3)}, arguments.figures)
                continue
            if client is None:
                client = Program("call", arguments.heartbeat)
                programs.append(client)
            for inject in Faults(node).of(fault):
                figure = hurt(fault, inject, client)
                note(fault, figure, arguments.figures)
                if figure["seconds"] is None:
                    # Nothing but another start helps.
                    server.end()
                    server = Program("serve", arguments.heartbeat, "--journal", journal)
                    programs.append(server)
    finally:
        for program in programs:
            program.end()
        if node is not None:
            node.remove()
        subprocess.run(["rm", "-rf", str(directory)], check=False)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("command", nargs="?", default="measure", choices=["measure", "serve", "call", "cast", "nobody"])
    parser.add_argument("--figures")
    parser.add_argument("--faults", default="2,3,8,13,15,17,24,36,18,40")
    parser.add_argument("--heartbeat", type=int, default=2)
    parser.add_argument("--journal")
    arguments = parser.parse_args()
    if arguments.command == "measure":
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        measure(arguments)
    elif arguments.command == "serve":
        serve(arguments.heartbeat, arguments.journal)
    elif arguments.command == "call":
        call(arguments.heartbeat)
    elif arguments.command == "nobody":
        call_nobody(arguments.heartbeat)
    else:
        cast(arguments.heartbeat)


if __name__ == "__main__":
    main()
