"""An oslo.messaging server in the place of cinder's scheduler.

    scheduler.py --url URL [--topic cinder-scheduler] [--server NAME]

Prints READY, then each capability cast as one line of JSON, until standard input closes. Signatures and version are
those of cinder's scheduler manager: what it would refuse fails here too, and is printed as {"refused": TEXT}.
"""

import argparse
from datetime import datetime

import peer  # before oslo_messaging, whose warnings it silences

import oslo_messaging


class SchedulerEndpoint:
    target = oslo_messaging.Target(version="3.12")

    def update_service_capabilities(
        self, context, service_name, host, capabilities, cluster_name=None, timestamp=None, **kwargs
    ):
        self._report(
            "update_service_capabilities",
            context,
            timestamp,
            service_name=service_name,
            host=host,
            capabilities=capabilities,
            cluster_name=cluster_name,
            **kwargs,
        )

    def notify_service_capabilities(self, context, service_name, capabilities, host=None, backend=None, timestamp=None):
        self._report(
            "notify_service_capabilities",
            context,
            timestamp,
            service_name=service_name,
            host=host,
            backend=backend,
            capabilities=capabilities,
        )

    def _report(self, method, context, timestamp, **arguments):
        try:
            if timestamp is not None:
                datetime.strptime(timestamp, "%Y-%m-%dT%H:%M:%S.%f")
            # cinder's table of back ends does this with each report
            dict(arguments["capabilities"] or {})
        except Exception as error:
            peer.write_line({"refused": "%s: %s" % (type(error).__name__, error)})
            raise
        peer.write_line({"method": method, "context": context, "timestamp": timestamp, **arguments})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", required=True)
    parser.add_argument("--topic", default="cinder-scheduler")
    parser.add_argument("--server", default="python-scheduler")
    parser.add_argument("--exchange")
    arguments = parser.parse_args()
    peer.serve(
        peer.make_transport(arguments.url, arguments.exchange),
        oslo_messaging.Target(topic=arguments.topic, server=arguments.server),
        [SchedulerEndpoint()],
    )


if __name__ == "__main__":
    main()
