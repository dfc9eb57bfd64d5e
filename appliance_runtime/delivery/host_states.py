"""What is known of each destination since the start of the process: hoststatus, tophosts, hostrate (operations.md 3).

At most MAX_HOSTS domains are remembered; beyond that the one that was used first is forgotten, whose counters then begin anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import Enum

from attrs import define, field, frozen

from appliance_runtime.delivery.failures import PERMANENT, Failure
from appliance_runtime.metrics import SUMS
from appliance_runtime.queue.envelope import QueuedMessage, destination_domain

MAX_HOSTS = 10_000


class Reachable(Enum):
    """UNKNOWN: no attempt since the start; DOWN: every address failed to connect, or had a bad banner, in the last attempt."""

    UNKNOWN = "unknown"
    UP = "up"
    DOWN = "down"


@frozen(kw_only=True)
class LastError:
    """`kind`: for TLS the level in force then."""

    lines: tuple[str, ...]
    at: datetime
    address: str
    kind: str = ""


@define(eq=False)
class HostState:
    reachable: Reachable = Reachable.UNKNOWN
    last_activity: datetime | None = None
    counts: Counter[str] = field(factory=Counter)
    """by XML name of the counter; sums are not in it"""
    last_5xx: LastError | None = None
    last_tls: LastError | None = None

    def count(self, name: str) -> int:
        """A counter, or the sum of others."""
        return sum(self.count(part) for part in SUMS[name]) if name in SUMS else self.counts[name]


@define(eq=False)
class HostStates:
    """By destination domain. Methods tell what happened; `now`: appliance clock."""

    now: Callable[[], datetime]
    _states: dict[str, HostState] = field(factory=dict)

    def known(self) -> Mapping[str, HostState]:
        return self._states

    def _of(self, domain: str) -> HostState:
        state = self._states.get(domain)
        if state is None:
            if len(self._states) >= MAX_HOSTS:
                del self._states[next(iter(self._states))]
            state = self._states[domain] = HostState()
        state.last_activity = self.now()
        return state

    def counted(self, message: QueuedMessage, name: str, count: int = 1) -> None:
        """Recipients of one domain. `name`: XML name of the counter."""
        self._of(destination_domain(message.recipients[0].address)).counts[name] += count

    def refused(self, message: QueuedMessage, failure: Failure) -> None:
        """A recipient has failed with a reply."""
        if failure.answered and int(failure.code) >= PERMANENT:
            state = self._of(destination_domain(message.recipients[0].address))
            lines = tuple(f"{failure.code} {line}" for line in failure.lines)
            state.last_5xx = LastError(lines=lines, at=self.now(), address=failure.remote or "")

    def tls_failed(self, domain: str, level: str, text: str, address: str) -> None:
        """`text`: what stands behind `TLS failed: ` in the mail log."""
        text = text.removeprefix("verify error: ")
        self._of(domain).last_tls = LastError(lines=(text,), at=self.now(), address=address, kind=level)

    def attempted(self, domain: str, *, reached: bool) -> None:
        """An attempt has come to a host that speaks, or has ended without one."""
        self._of(domain).reachable = Reachable.UP if reached else Reachable.DOWN
