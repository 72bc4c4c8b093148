"""What the peer programs share: a transport of the real oslo.messaging, one JSON text per line.

The programs stand for an OpenStack service written in Python. The Swift tests start them, talk to them through
standard input and output, and end them by closing standard input.
"""

import json
import logging
import os
import sys
import tempfile
import threading
import warnings

warnings.simplefilter("ignore")  # oslo.service imports eventlet, which announces its own end

# The queue manager (use_queue_manager) locks a file there.
os.environ.setdefault("OSLO_LOCK_PATH", tempfile.gettempdir())

from oslo_config import cfg  # noqa: E402
import oslo_messaging  # noqa: E402

# Failing methods are the tests' purpose, their tracebacks on standard error would only hide the test's own output.
logging.basicConfig(level=os.environ.get("PEER_LOG_LEVEL", "CRITICAL"), stream=sys.stderr)

_output_lock = threading.Lock()


def make_transport(url, exchange=None, allowed_remote_exmods=()):
    """A transport for `url`; options of the driver may follow as a query (`?amqp_durable_queues=true`)."""
    scheme, rest = url.split("://", 1)
    if scheme == "amqps":
        rest += ("&" if "?" in rest else "?") + "ssl=true"
    configuration = cfg.CONF  # tracing registers its options with this one only
    configuration([], project="peer", default_config_files=[], default_config_dirs=[])
    if exchange is not None:
        oslo_messaging.set_transport_defaults(exchange)
    return oslo_messaging.get_rpc_transport(
        configuration, url="rabbit://" + rest, allowed_remote_exmods=list(allowed_remote_exmods)
    )


def write_line(value):
    """Print one value as one line of JSON (text as it is), at once."""
    line = value if isinstance(value, str) else json.dumps(value)
    with _output_lock:
        try:
            print(line, flush=True)
        except BrokenPipeError:
            os._exit(1)  # nobody listens any more


def serve(transport, target, endpoints):
    """Serve until standard input closes. The line READY says that the server consumes."""
    server = oslo_messaging.get_rpc_server(
        transport,
        target,
        endpoints,
        executor="threading",
        access_policy=oslo_messaging.DefaultRPCAccessPolicy,
    )
    server.start()
    write_line("READY")
    sys.stdin.buffer.read()
    # At once, as a crash would: stop() and wait() take seconds, and calls that still run would hold them.
    os._exit(0)
