"""What operators have suspended: listeners, deliveries, the work queue (operations.md 4.1, 5).

Not part of the configuration: it acts at once, and stays through commits, rollbacks and restarts until somebody ends it.
Kept in a file of the state directory that is replaced in one step, before anything is closed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import attrs
from attrs import frozen

from appliance_runtime.state_directory import write_private
from appliance_state.model import Config


@frozen(kw_only=True)
class Pause:
    """A pause of the work queue. `number`: counts them, so that messages can say during which one they came."""

    number: int
    user: str
    reason: str


@frozen(kw_only=True)
class Suspensions:
    """`receiving`, `delivery`: everything, whatever will be added to the configuration. `listeners`: uids."""

    receiving: bool = False
    listeners: frozenset[str] = frozenset()
    delivery: bool = False
    domains: frozenset[str] = frozenset()
    pause: Pause | None = None
    pauses: int = 0
    """so far"""

    def listener(self, uid: str) -> bool:
        """Whether a listener is suspended."""
        return self.receiving or uid in self.listeners

    def destination(self, domain: str) -> bool:
        """Whether nothing is delivered to a domain."""
        return self.delivery or domain in self.domains

    def all_receiving(self, config: Config) -> bool:
        """Whether no listener receives."""
        uids = {listener.uid for listener in config.listeners.entries()}
        return self.receiving or (bool(uids) and uids <= self.listeners)

    def status(self, config: Config) -> str:
        """The system status, as `status` shows it."""
        receiving = self.all_receiving(config)
        if receiving and self.delivery:
            return "Offline"
        if receiving:
            return "Receiving Suspended"
        if self.delivery:
            return "Delivery Suspended"
        return "Online" if self.pause is None else "Work Queue Paused"

    # changes

    def with_listeners_suspended(self, uids: Iterable[str]) -> Suspensions:
        return attrs.evolve(self, listeners=self.listeners | frozenset(uids))

    def with_listeners_resumed(self, uids: Iterable[str], config: Config) -> Suspensions:
        suspended = {listener.uid for listener in config.listeners.entries() if self.listener(listener.uid)}
        return attrs.evolve(self, receiving=False, listeners=frozenset(suspended - set(uids)))

    def with_pause(self, user: str, reason: str) -> Suspensions:
        number = self.pauses + 1
        return attrs.evolve(self, pauses=number, pause=Pause(number=number, user=user, reason=reason))


def read_suspensions(path: Path) -> Suspensions:
    """Errors: OSError, ValueError for a file that cannot be understood."""
    if not path.exists():
        return Suspensions()
    try:
        stored = json.loads(path.read_bytes())
        pause = stored.pop("pause")
        return Suspensions(
            listeners=frozenset(stored.pop("listeners")),
            domains=frozenset(stored.pop("domains")),
            pause=None if pause is None else Pause(**pause),
            **stored,
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a list of suspensions: {error}") from None


def write_suspensions(path: Path, suspensions: Suspensions) -> None:
    """Durable when it returns. Errors: OSError."""
    document = attrs.asdict(suspensions, value_serializer=lambda _, __, value: sorted(value) if isinstance(value, frozenset) else value)
    write_private(path, json.dumps(document).encode())
