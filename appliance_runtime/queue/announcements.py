"""Telling delivery which destination domains have become due: at once, or when their time has come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

from appliance_runtime.clock import Clock
from appliance_runtime.queue.schedule import Schedule


class Announcements:
    """Nothing is told before `begin`."""

    def __init__(self, schedule: Schedule, clock: Clock, tell: Callable[[str], object]) -> None:
        """`tell` is called in the loop with the name of a domain."""
        self.begun = False
        self._schedule = schedule
        self._clock = clock
        self._tell_of = tell
        self._loop = asyncio.get_running_loop()
        self._ready: set[str] = set()
        self._alarm: asyncio.Task[None] | None = None
        self._alarm_at: datetime | None = None

    def begin(self) -> None:
        """Tell of everything that is due, and from now on of what becomes due."""
        self.begun = True
        self.announce(set(self._schedule.domains_due(self._clock.now())))
        self.set_alarm()

    def end(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()

    def announce(self, domains: set[str]) -> None:
        """Tell soon, once for everything that happens in this turn of the loop."""
        if not self.begun:
            return
        if domains and not self._ready:
            self._loop.call_soon(self._tell)
        self._ready |= domains

    def _tell(self) -> None:
        ready, self._ready = self._ready, set()
        for domain in sorted(ready):
            self._tell_of(domain)

    def set_alarm(self) -> None:
        """Have `_ring` called when the next domain becomes due."""
        due = self._schedule.next_due() if self.begun else None
        if due is None or (self._alarm_at is not None and self._alarm_at <= due):
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at = due
        self._alarm = self._loop.create_task(self._ring(due))

    async def _ring(self, moment: datetime) -> None:
        await self._clock.sleep_until(moment)
        self._alarm = self._alarm_at = None
        self.announce(set(self._schedule.wake(self._clock.now())))
        self.set_alarm()
