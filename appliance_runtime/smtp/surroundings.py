"""What receiving needs of the rest of the appliance, and what its sessions share."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from attrs import Factory, field, frozen

from appliance_runtime.clock import Clock
from appliance_runtime.dns.answers import Reverse
from appliance_runtime.logs.writer import EventLog
from appliance_runtime.queue.body import Body
from appliance_runtime.queue.envelope import NewMessage, Settle
from appliance_runtime.smtp.access import CompiledListener, Decision, IPAddress
from appliance_runtime.smtp.limits import Answer, Client
from appliance_runtime.smtp.received import ReceivedDates
from appliance_state.model import Config


class ReverseLookup(Protocol):
    async def ptr(self, address: str, limit: float) -> Reverse: ...


class Surroundings(Protocol):
    """What receiving takes from the live snapshot."""

    @property
    def config(self) -> Config: ...

    @property
    def receiving(self) -> Mapping[str, CompiledListener]: ...

    @property
    def inbound_contexts(self) -> Mapping[str, ssl.SSLContext]: ...

    @property
    def anchors(self) -> tuple[bytes, ...]: ...


class MessageStore(Protocol):
    """What receiving needs of the queue. `spool`: directory of large bodies."""

    @property
    def spool(self) -> Path: ...

    def next_mid(self) -> int: ...

    def next_icid(self) -> int: ...

    def new_body(self) -> Body: ...

    def submit(self, message: NewMessage, settled: Settle) -> None:
        """`settled` is called, some time later, when the message is durable, or with QueueFull or QueueError."""


class Intake(Protocol):
    """The queue as sessions see it. `spool`: as above."""

    @property
    def spool(self) -> Path: ...

    def next_mid(self) -> int: ...

    def new_body(self) -> Body: ...

    def submit(self, message: NewMessage, settled: Settle) -> None:
        """`settled` is called, some time later, when the message is durable, counted and logged as queued, or with QueueFull or QueueError."""


class SharedLimits(Protocol):
    """`limits.Limits`; an answer may also come later."""

    def enter_tls(self, icid: int, limit: int, answer: Answer) -> None: ...

    def leave_tls(self) -> None: ...

    def take_recipient(self, client: Client, limit: int, period: int, answer: Answer) -> None: ...


class Counting(Protocol):
    """What sessions count."""

    def add(self, name: str, count: int = 1) -> None: ...


class Gauging(Counting, Protocol):
    """What the receiver counts and measures."""

    def gauge(self, name: str, delta: int) -> None: ...


@frozen(kw_only=True)
class Services:
    """What all sessions share."""

    queue: Intake
    logs: EventLog
    clock: Clock
    counters: Counting
    limits: SharedLimits
    dates: ReceivedDates = field(factory=ReceivedDates)


@frozen(kw_only=True)
class Peer:
    """Who connected, where, and what the host access table says. `interface_ip`: the logical address; `ip`: `address` as text."""

    icid: int
    address: IPAddress
    reverse: Reverse
    interface_ip: str
    decision: Decision
    ip: str = field(init=False, default=Factory(lambda self: str(self.address), takes_self=True))

    @property
    def variables(self) -> dict[str, str]:
        """HAT variables of custom texts."""
        name = self.reverse.name if self.reverse.verified else None
        return {
            "group": self.decision.group,
            "hostname": name or ("Unknown" if self.reverse.failed else "None"),
            "orgid": "None",
            "remoteip": self.ip,
            "hatentry": self.decision.entry,
        }
