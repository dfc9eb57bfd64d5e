"""Limits of outgoing mail: places for connections, and recipients per minutes (delivery.md 2.3, destconfig.md 8).

At a limit mail waits; waiting is no attempt.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta

from attrs import define, field

from appliance_state.model.destinations import Destination, LimitType


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
class _Window:
    used: int
    ends: datetime


@define(eq=False)
class Windows:
    """Recipients named to one destination: fixed windows that begin with their first recipient, by address where they count so."""

    _open: dict[str, _Window] = field(factory=dict)

    def clear(self) -> None:
        """Begin anew."""
        self._open.clear()

    def take(self, settings: Destination, address: str, wanted: int, now: datetime) -> tuple[int, datetime | None]:
        """How many of `wanted` recipients may be named now, which counts them; and when the others may be."""
        if settings.recipient_limit is None or settings.recipient_minutes is None:
            return wanted, None
        key = _key(settings, address)
        window = self._open.get(key)
        if window is None or now >= window.ends:
            window = self._open[key] = _Window(0, now + timedelta(minutes=settings.recipient_minutes))
        granted = max(0, min(wanted, settings.recipient_limit - window.used))
        window.used += granted
        return granted, window.ends

    def full(self, settings: Destination, address: str, now: datetime) -> datetime | None:
        """When the next recipient may be named, if none may now."""
        if settings.recipient_limit is None or settings.recipient_minutes is None:
            return None
        window = self._open.get(_key(settings, address))
        if window is None or now >= window.ends:
            return now + timedelta(minutes=settings.recipient_minutes) if settings.recipient_limit == 0 else None
        return window.ends if window.used >= settings.recipient_limit else None

    @property
    def any(self) -> bool:
        """Something is remembered."""
        return bool(self._open)


def _key(settings: Destination, address: str) -> str:
    return address if settings.limit_type is LimitType.MXIP else ""
