"""Taking over the messages of earlier runs: a short queue at once, a long one in slices while the appliance works already.

Until the end delivery waits, so that nothing overtakes what has waited longer; what is received meanwhile is stored as
always. Messages that are not taken over yet are not counted and cannot be found.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from datetime import datetime

from appliance_runtime.queue.database import Database, is_damage
from appliance_runtime.queue.opening import Start
from appliance_runtime.queue.recovery import Places, Slice, read_slice, removal, set_aside
from appliance_runtime.queue.schedule import Schedule
from appliance_runtime.queue.writer import RETRY, Change

DELAY = 0.5
"""seconds of real time before the rest of a long queue is read: the start comes first"""
SLICE = 500
"""messages read in one step"""


class TakeOver:
    """`begin` takes over what was read at the start, and sees to the rest."""

    def __init__(
        self,
        places: Places,
        schedule: Schedule,
        start: Start,
        *,
        now: Callable[[], datetime],
        pause: Callable[[], int],
        store: Callable[[Change], Awaitable[None]],
        rescue: Callable[[], str],
        report_damage: Callable[[str], None],
        done: Callable[[], None],
    ) -> None:
        """`store`: hands a change to the writer; `rescue`: called in its thread; `done`: called at the end."""
        self._places = places
        self._schedule = schedule
        self._start = start
        self._now = now
        self._pause = pause
        self._store = store
        self._rescue = rescue
        self._report_damage = report_damage
        self._done = done
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        self._take(self._start.first)
        if self._start.first.end is None:
            self._finish()
        else:
            self._task = asyncio.get_running_loop().create_task(self._take_rest(), name="takeover of the queue")

    async def end(self) -> None:
        """Leave the rest where it is."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _take_rest(self) -> None:
        await asyncio.sleep(DELAY)
        database = Database(self._places.database)
        after = self._start.first.end
        try:
            while after is not None:
                try:
                    found = await asyncio.to_thread(read_slice, database, after, self._start.last, SLICE)
                    await self._put_aside(database, found)
                except (OSError, sqlite3.Error) as error:
                    database.close()
                    if isinstance(error, sqlite3.Error) and is_damage(error) and await self._rescued():
                        after = 0
                    else:
                        await asyncio.sleep(RETRY)
                    continue
                self._take(found)
                after = found.end
        finally:
            database.close()
        self._finish()

    async def _put_aside(self, database: Database, found: Slice) -> None:
        while found.damaged:
            mid, octets = found.damaged[-1]
            name = await asyncio.to_thread(set_aside, self._places, database, mid, octets)
            await self._store(Change(removal(mid)))
            self._report_damage(name)
            found.damaged.pop()

    async def _rescued(self) -> bool:
        """The database is damaged: what can still be read of it goes into a new one, which is read from the beginning."""
        names: list[str] = []
        try:
            await self._store(Change((), call=lambda: names.append(self._rescue())))
        except (OSError, sqlite3.Error):
            return False
        self._report_damage(*names)
        return True

    def _take(self, found: Slice) -> None:
        now, pause = self._now(), self._pause()
        for stored in found.messages:
            envelope = stored.envelope
            if envelope.mid not in self._schedule.messages:  # after a rescue
                unprocessed = 0 < pause == envelope.pause
                self._schedule.add(envelope, stored.recipients, now, recorded=stored.recorded, unprocessed=unprocessed)
                if envelope.place is not None:
                    self._start.segments.adopt(envelope.place)

    def _finish(self) -> None:
        """Everything is known: remove the files of earlier runs that are nobody's."""
        self._start.segments.adopted()
        for name in self._start.spooled - {message.envelope.spool for message in self._schedule.messages.values()}:
            (self._places.spool / name).unlink(missing_ok=True)
        self._done()
