"""Counters of the SMTP server that outlive a configuration: open connections, TLS sessions, recipients per hour.

Recipients are counted over all listeners in one counter per client: an IPv4 address or network of `significant_bits`, an
IPv6 /64. All counters are reset together every `counter_reset_period` of the appliance clock (listenerconfig.md 11). At
most 100,000 clients are counted; beyond that the one that was seen first is forgotten.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

from attrs import define, field

from appliance_runtime.clock import Clock
from appliance_runtime.smtp.access import IPAddress

K = TypeVar("K")

MAX_CLIENTS = 100_000
IPV6_CLIENT_BITS = 64

Client = tuple[int, int, int]
"""version, significant bits, network"""
Answer = Callable[[bool], None]
"""told whether there was room"""


@define
class OpenConnections:
    """How many connections are open; what is entered is left once. Clients by their address."""

    total: int = 0
    tls: int = 0
    by_listener: Counter[str] = field(factory=Counter)
    by_client: Counter[str] = field(factory=Counter)

    def enter(self, listener: str) -> None:
        self.total += 1
        self.by_listener[listener] += 1

    def leave(self, listener: str) -> None:
        self.total -= 1
        _less(self.by_listener, listener)

    def enter_client(self, client: str) -> None:
        self.by_client[client] += 1

    def leave_client(self, client: str) -> None:
        _less(self.by_client, client)


@define
class RecipientsPerHour:
    """The injection counters. `began`: start of the period that is counted."""

    began: datetime
    counts: dict[Client, int] = field(factory=dict)

    def take(self, client: Client, limit: int, now: datetime, period: int) -> bool:
        """Count one recipient, unless the client has had `limit` (-1 = no limit) in this period of `period` seconds."""
        elapsed = (now - self.began).total_seconds()
        if elapsed >= period:
            self.counts.clear()
            self.began += timedelta(seconds=elapsed // period * period)
        count = self.counts.get(client, 0)
        if 0 <= limit <= count:
            return False
        if not count and len(self.counts) >= MAX_CLIENTS:
            del self.counts[next(iter(self.counts))]
        self.counts[client] = count + 1
        return True


class Limits:
    """What all sessions count together while they run: TLS sessions, recipients per hour. Answers at once."""

    def __init__(self, opened: OpenConnections, hourly: RecipientsPerHour, clock: Clock) -> None:
        self._opened = opened
        self._hourly = hourly
        self._clock = clock

    def enter_tls(self, icid: int, limit: int, answer: Answer) -> None:
        """Count a TLS session, unless there are `limit`."""
        room = self._opened.tls < limit
        self._opened.tls += room
        answer(room)

    def leave_tls(self) -> None:
        """It has ended."""
        self._opened.tls -= 1

    def take_recipient(self, client: Client, limit: int, period: int, answer: Answer) -> None:
        """See `RecipientsPerHour.take`."""
        answer(self._hourly.take(client, limit, self._clock.now(), period))


def counted_client(address: IPAddress, significant_bits: int) -> Client:
    """Who counts as one client. `significant_bits` (0 = all) is about IPv4 only."""
    bits = IPV6_CLIENT_BITS if address.version == 6 else significant_bits or 32
    return address.version, bits, int(address) >> (address.max_prefixlen - bits)


def _less(counter: Counter[K], key: K) -> None:
    counter[key] -= 1
    if counter[key] <= 0:
        del counter[key]
