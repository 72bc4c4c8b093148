"""The programs that are measured, and how many requests a run of each has."""

import pathlib
import typing

_HERE = pathlib.Path(__file__).parent


class Peer(typing.NamedTuple):
    """One of the three: `server` and `client` are the beginnings of their commands."""

    key: str
    title: str
    server: list
    client: list


def all_peers(worker, load, python, raw):
    """The peers, by the paths of the programs."""
    oslo = [python, str(_HERE / "oslo.py")]
    peers = (
        Peer("steward", "Steward", [worker], [load]),
        Peer("oslo", "oslo.messaging", oslo, oslo),
        Peer("raw", "librabbitmq", [raw], [raw]),
    )
    return {peer.key: peer for peer in peers}


# What to begin with: requests per second on a machine of two cores that runs the broker, the server and the client.
RATES = {
    "w1": {"steward": 1_300, "oslo": 250, "raw": 1_800},
    "w1-1m": {"steward": 45, "oslo": 9, "raw": 250},
    "w2-64": {"steward": 9_000, "oslo": 350, "raw": 14_000},
    "w2-256": {"steward": 9_000, "oslo": 350, "raw": 14_000},
    "w2-64-16k": {"steward": 2_000, "oslo": 220, "raw": 9_000},
    "w3-drain": {"steward": 25_000, "oslo": 1_900, "raw": 25_000},
    "w3-cast": {"steward": 30_000, "oslo": 1_100, "raw": 35_000},
    "w3-cast-each": {"steward": 4_500, "oslo": 1_100, "raw": 5_000},
    "w3-cast-64": {"steward": 25_000, "oslo": 1_100, "raw": 30_000},
    "w4-fanout": {"steward": 600, "oslo": 12, "raw": 700},  # casts, each to 50 servers
    "w5-idle": {"steward": 1, "oslo": 1, "raw": 1},
}


class Sizes:
    """How many requests make a run of about the wanted length: a guess first, then by what the runs before took."""

    SHORTEST, WANTED, LONGEST = 0.8, 1.5, 4.0  # seconds

    def __init__(self):
        self._rates = {workload: dict(rates) for workload, rates in RATES.items()}

    def count(self, workload, peer):
        """At least what a percentile makes sense of."""
        return max(15, int(self._rates[workload][peer] * self.WANTED))

    def learn(self, workload, peer, rate):
        self._rates[workload][peer] = rate

    def is_off(self, seconds):
        """Whether a run of this length tells too little, or too late."""
        return not self.SHORTEST <= seconds <= self.LONGEST
