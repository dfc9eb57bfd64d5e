"""Counters and gauges of `status` and `/xml/status` (operations.md 1): three columns, rates per hour.

Reset counts since the last `resetcounters`, Uptime since the start of the process, Lifetime since the first start. Reset
and Lifetime are kept in a file that is written at most every 10 s and at the end, so a crash loses 10 s at most. Rates are
the events of the last 1, 5 and 15 minutes of the appliance clock, projected to one hour. Unit of the gauges: things now.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections import deque
from datetime import datetime
from pathlib import Path

from attrs import define, field, frozen

from appliance_runtime.clock import Clock

COUNTERS = (
    "inj_msgs",
    "inj_recips",
    "gen_bounce_recips",
    "rejected_recips",
    "dropped_msgs",
    "soft_bounced_evts",
    "completed_recips",
    "hard_bounced_recips",
    "dns_hard_bounced_recips",
    "5xx_hard_bounced_recips",
    "filter_hard_bounced_recips",
    "expired_hard_bounced_recips",
    "other_hard_bounced_recips",
    "delivered_recips",
    "deleted_recips",
    "global_unsub_hits",
)
"""in the order of the pages that show them"""
SUMS = {
    "hard_bounced_recips": tuple(name for name in COUNTERS if name.endswith("_hard_bounced_recips")),
    "completed_recips": ("hard_bounced_recips", "delivered_recips", "deleted_recips"),
}
"""counters that are never added to: the sum of others"""
RATES = ("inj_msgs", "inj_recips", "soft_bounced_evts", "completed_recips", "hard_bounced_recips", "delivered_recips")
GAUGES = ("conn_in", "conn_out")
SAVE_INTERVAL = 10.0
"""seconds of real time"""
WINDOWS = (60, 300, 900)
"""seconds of the three rates"""


@frozen
class Columns:
    """One counter."""

    reset: int
    uptime: int
    lifetime: int


@frozen
class Rates:
    """Events per hour."""

    minute: int
    five_minutes: int
    fifteen_minutes: int


@define
class _Counter:
    lifetime: int = 0
    before_start: int = 0
    """of `lifetime`, as the next one"""
    before_reset: int = 0
    second: int = 0
    """the last one in which something was counted"""
    events: int = 0
    """in that second"""
    recent: deque[tuple[int, int]] = field(factory=deque)
    """(second, events) of the seconds before it, oldest first"""

    @property
    def reset(self) -> int:
        return self.lifetime - self.before_reset

    @property
    def uptime(self) -> int:
        return self.lifetime - self.before_start


class Counters:
    """All counters of the appliance. Names that are not in `COUNTERS` or `GAUGES`, and sums, cannot be added to (KeyError)."""

    def __init__(self, clock: Clock, path: Path | None = None) -> None:
        """`path`: where Reset and Lifetime survive. Errors: OSError. A file that cannot be understood counts as none."""
        self.last_reset: datetime | None = None
        self._clock = clock
        self._timestamp = clock.timestamp
        self._path = path
        self._counters = {name: _Counter() for name in COUNTERS if name not in SUMS}
        self._gauges = dict.fromkeys(GAUGES, 0)
        self._changed = False
        if path is not None and path.exists():
            self._load(path.read_bytes())

    def add(self, name: str, count: int = 1) -> None:
        counter = self._counters[name]
        counter.lifetime += count
        self._changed = True
        second = int(self._timestamp())
        if second == counter.second:
            counter.events += count
            return
        recent = counter.recent
        recent.append((counter.second, counter.events))
        counter.second, counter.events = second, count
        while recent and recent[0][0] <= second - WINDOWS[-1]:
            recent.popleft()

    def gauge(self, name: str, delta: int) -> None:
        """Connections opened (+1) or closed (-1)."""
        self._gauges[name] += delta

    def current(self, name: str) -> int:
        """A gauge."""
        return self._gauges[name]

    def columns(self, name: str) -> Columns:
        parts = [self._counters[part] for part in _parts(name)]
        return Columns(sum(p.reset for p in parts), sum(p.uptime for p in parts), sum(p.lifetime for p in parts))

    def rates(self, name: str) -> Rates:
        now = int(self._timestamp())
        counters = [self._counters[part] for part in _parts(name)]
        recent = [entry for counter in counters for entry in (*counter.recent, (counter.second, counter.events))]
        return Rates(*(sum(count for second, count in recent if second > now - window) * 3600 // window for window in WINDOWS))

    def reset(self) -> None:
        """`resetcounters`: the Reset column begins at 0 again."""
        for counter in self._counters.values():
            counter.before_reset = counter.lifetime
        self.last_reset = self._clock.now()
        self._changed = True

    async def keep(self) -> None:
        """Save every 10 s what has changed, until cancelled. A failed attempt is repeated; counting goes on."""
        while True:
            await asyncio.sleep(SAVE_INTERVAL)
            if self._changed and self._path is not None:
                self._changed = False
                try:
                    await asyncio.to_thread(_write, self._path, self._document())
                except OSError:
                    self._changed = True

    def save(self) -> None:
        """Save now: at the end of the process. Errors: OSError."""
        if self._path is not None:
            _write(self._path, self._document())
            self._changed = False

    def _document(self) -> bytes:
        return json.dumps(
            {
                "last_reset": self.last_reset.isoformat() if self.last_reset else None,
                "counters": {name: [counter.reset, counter.lifetime] for name, counter in self._counters.items()},
            }
        ).encode()

    def _load(self, document: bytes) -> None:
        try:
            stored = json.loads(document)
            for name, counter in self._counters.items():
                reset, counter.lifetime = map(int, stored["counters"].get(name, (0, 0)))
                counter.before_start, counter.before_reset = counter.lifetime, counter.lifetime - reset
            self.last_reset = datetime.fromisoformat(stored["last_reset"]) if stored["last_reset"] else None
        except (ValueError, KeyError, TypeError, AttributeError):
            self._counters = {name: _Counter() for name in self._counters}


def _parts(name: str) -> tuple[str, ...]:
    """The counters that `name` is the sum of."""
    return tuple(part for addend in SUMS[name] for part in _parts(addend)) if name in SUMS else (name,)


def _write(path: Path, document: bytes) -> None:
    """Replace the file in one step: a crash leaves the old or the new one."""
    draft = path.with_name(f"{path.name}.new")
    with draft.open("wb") as file:
        file.write(document)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
