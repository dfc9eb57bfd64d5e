"""The appliance clock. Every date and interval of the appliance comes from it; network time limits do not."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo


class Clock(Protocol):
    def now(self) -> datetime:
        """Current time, aware, UTC."""

    def timestamp(self) -> float:
        """The same in seconds since 1970: costs a tenth."""

    async def sleep_until(self, moment: datetime) -> None:
        """Wait until `moment` on this clock."""


class SystemClock:
    """Follows the operating system."""

    timestamp = staticmethod(time.time)

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep_until(self, moment: datetime) -> None:
        while (left := (moment - self.now()).total_seconds()) > 0:
            await asyncio.sleep(min(left, 3600.0))


class FakeClock:
    """Stands still and moves only by `advance`: laboratories and tests. Waiters wake in the order of their due times."""

    def __init__(self, start: datetime) -> None:
        self._now = start
        self._order = itertools.count()
        self._waiting: list[tuple[datetime, int, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        return self._now

    def timestamp(self) -> float:
        return self._now.timestamp()

    async def sleep_until(self, moment: datetime) -> None:
        if moment > self._now:
            future = asyncio.get_running_loop().create_future()
            heapq.heappush(self._waiting, (moment, next(self._order), future))
            await future

    async def advance(self, seconds: float) -> None:
        """Move on by `seconds`, stopping at each due time so that its waiter runs at that time."""
        target = self._now + timedelta(seconds=seconds)
        while self._waiting and self._waiting[0][0] <= target:
            moment, _, future = heapq.heappop(self._waiting)
            self._now = max(self._now, moment)
            if not future.done():
                future.set_result(None)
            await settle()
        self._now = target
        await settle()


async def settle(rounds: int = 20) -> None:
    """Let everything that is ready run."""
    for _ in range(rounds):
        await asyncio.sleep(0)


def long_date(moment: datetime, timezone: str) -> str:
    """`Fri May 23 11:42:12 2014 GMT`: the %DATE% of the specification."""
    local = moment.astimezone(ZoneInfo(timezone))
    return local.strftime(f"%a %b %d %H:%M:%S %Y {local.tzname()}")


def short_date(moment: datetime, timezone: str) -> str:
    """`Fri May 23 11:42:12 2014`: as `long_date`, without zone."""
    return moment.astimezone(ZoneInfo(timezone)).strftime("%a %b %d %H:%M:%S %Y")


def log_date(moment: datetime, timezone: str) -> str:
    """`Fri Mar  6 09:00:00 2026`: the day is padded with a blank."""
    return moment.astimezone(ZoneInfo(timezone)).strftime("%a %b %e %H:%M:%S %Y")


def monotonic() -> float:
    """Seconds of real time, for network time limits and durations."""
    return time.monotonic()
