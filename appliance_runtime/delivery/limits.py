"""Limits of outgoing mail: places for connections, and recipients per minutes (delivery.md 2.3, destconfig.md 8).

At a limit mail waits; waiting is no attempt.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from datetime import datetime, timedelta

from attrs import define, field

from appliance_state.model.destinations import Destination, LimitType


@define(eq=False)
class Slots:
    """At most `limit()` places, which may change, are taken at a time; who finds none waits, and owners take turns.

    One owner, such as a destination domain, is never given the last `reserve` of the places, rounded down: a peer that holds
    its connections for long delays no other destination. `on_wait`: called when somebody must wait.
    """

    limit: Callable[[], int]
    on_wait: Callable[[], None] = lambda: None
    reserve: float = 0.1
    held: int = 0
    _owned: Counter[str] = field(factory=Counter)
    _waiting: dict[str, deque[asyncio.Future[None]]] = field(factory=dict)
    """by owner, the one whose turn it is first"""

    @property
    def wanted(self) -> bool:
        """Somebody waits."""
        return bool(self._waiting)

    def waiting(self, owner: str) -> int:
        return len(self._waiting.get(owner, ()))

    async def take(self, owner: str) -> None:
        # When there is room, nobody waits who may have it.
        if owner not in self._waiting and self._room(owner):
            self._give_to(owner)
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(owner, deque()).append(place)
        self.on_wait()
        try:
            await place
        except asyncio.CancelledError:
            if place.cancelled():
                self._forget(owner, place)
            else:  # it was given at the same moment
                self.give(owner)
            raise

    def give(self, owner: str) -> None:
        """Give a place back."""
        self.held -= 1
        self._owned[owner] -= 1
        if not self._owned[owner]:
            del self._owned[owner]
        self.review()

    def review(self) -> None:
        """Let in as many as the limit allows: after a place was given back, or the limit has changed."""
        while self.held < self.limit():
            owner = next((one for one in self._waiting if self._room(one)), None)
            if owner is None:
                return
            places = self._waiting.pop(owner)
            place = places.popleft()
            if not place.done():  # else whoever waited has just been cancelled
                self._give_to(owner)
                place.set_result(None)
            if places:
                self._waiting[owner] = places  # at the end of the line

    def _forget(self, owner: str, place: asyncio.Future[None]) -> None:
        places = self._waiting.get(owner)
        if places is not None and place in places:
            places.remove(place)
            if not places:
                del self._waiting[owner]

    def _room(self, owner: str) -> bool:
        limit = self.limit()
        return self.held < limit and self._owned[owner] < limit - int(limit * self.reserve)

    def _give_to(self, owner: str) -> None:
        self.held += 1
        self._owned[owner] += 1


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

    def give_back(self, settings: Destination, address: str, unnamed: int) -> None:
        """So many of those granted were not named after all; a window in which none was has not begun."""
        window = self._open.get(_key(settings, address))
        if window is not None and unnamed:
            window.used = max(0, window.used - unnamed)
            if not window.used:
                del self._open[_key(settings, address)]

    def full(self, settings: Destination, address: str, now: datetime) -> datetime | None:
        """When the next recipient may be named, if none may now."""
        if settings.recipient_limit is None or settings.recipient_minutes is None:
            return None
        window = self._open.get(_key(settings, address))
        if window is None or now >= window.ends:
            return now + timedelta(minutes=settings.recipient_minutes) if settings.recipient_limit == 0 else None
        return window.ends if window.used >= settings.recipient_limit else None

    def under_way(self, now: datetime) -> bool:
        """A window has not ended yet."""
        self._open = {key: window for key, window in self._open.items() if now < window.ends}
        return bool(self._open)


def _key(settings: Destination, address: str) -> str:
    return address if settings.limit_type is LimitType.MXIP else ""
