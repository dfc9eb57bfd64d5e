"""Limits of outgoing mail: places for connections, and recipients per minutes (delivery.md 2.3, destconfig.md 8).

At a limit mail waits; waiting is no attempt.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta

from attrs import define, field


@define(eq=False)
class Slots:
    """At most `limit()` holders at a time, which may change; the others wait their turn. `on_wait`: called when one must wait."""

    limit: Callable[[], int]
    on_wait: Callable[[], None] = lambda: None
    held: int = 0
    _waiting: deque[asyncio.Future[None]] = field(factory=deque)

    @property
    def wanted(self) -> bool:
        """Somebody waits."""
        return bool(self._waiting)

    async def take(self) -> None:
        if self.held < self.limit() and not self._waiting:
            self.held += 1
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        self.on_wait()
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self.give()
            else:
                self._waiting.remove(place)
            raise

    def give(self) -> None:
        self.held -= 1
        self.review()

    def review(self) -> None:
        """Let in as many as the limit allows: after a place was given back, or the limit has changed."""
        while self._waiting and self.held < self.limit():
            self.held += 1
            self._waiting.popleft().set_result(None)


@define(eq=False)
class Window:
    """Recipients that may be named to a destination in the current window, which begins with the first of them."""

    used: int = 0
    ends: datetime | None = None

    def take(self, wanted: int, limit: int, minutes: int, now: datetime) -> int:
        """How many of `wanted` may go now; they count as used."""
        if self.ends is None or now >= self.ends:
            self.used, self.ends = 0, now + timedelta(minutes=minutes)
        granted = max(0, min(wanted, limit - self.used))
        self.used += granted
        return granted

    def full(self, limit: int, minutes: int, now: datetime) -> datetime | None:
        """When the next recipient may go, if none may now."""
        if self.ends is None or now >= self.ends:
            return now + timedelta(minutes=minutes) if limit == 0 else None
        return self.ends if self.used >= limit else None
