"""Group commit: what has gathered while the transaction before was written becomes durable with the next one.

Transactions are written by a process of its own (`store`), bodies that are not in their row by a thread. Results are reported
in the event loop. A message to be added fails with its transaction and is never retried; its row is removed again in case the
failed transaction reached the disk after all. A record of what has happened to recipients is kept and repeated until it is
stored: until then a crash may deliver twice, never lose.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from attrs import define

from appliance_runtime.queue.body import Body
from appliance_runtime.queue.database import REMOVE_MESSAGE, Statement, is_full
from appliance_runtime.queue.envelope import Settle
from appliance_runtime.queue.errors import QueueError, QueueFull
from appliance_runtime.queue.segments import Place, Segments
from appliance_runtime.queue.store import Outcome, Store
from appliance_runtime.state_directory import sync_directory

RETRY = 1.0
"""seconds of real time between attempts to store records while storing fails"""
GATHERING = 0.0005
"""seconds of real time in which few changes wait for company, if those before had any"""
COMPANY = 8
"""changes that need not wait for more"""
PATIENCE = 0.01
"""seconds of real time for which a record of a delivery waits for company: there are half as many transactions"""


@define(eq=False)
class Change:
    """Statements that belong together. `adds`: the MID of a message that they add."""

    statements: Sequence[Statement]
    settle: Settle | None = None
    """called in the loop with the outcome; a record counts as stored once it is in the writer's care"""
    adds: int | None = None
    body: Body | None = None
    """of the message; when it is not in the row, it is made durable before the transaction"""
    place: Place | None = None
    """where the body is to be written"""
    call: Callable[[], None] | None = None
    """called in a thread before the transaction, while nothing else writes the database. Errors: OSError, sqlite3.Error"""
    free: Callable[[], None] | None = None
    """gives back the room of a body: when a removal is stored, or an addition is refused. In a thread"""


Refusal = tuple[Change, Exception]


class Writer:
    """`submit` and `pass_on` in the loop; `stop` writes everything that was submitted."""

    def __init__(self, store: Store, segments: Segments, spool_directory: Path, loop: asyncio.AbstractEventLoop) -> None:
        self._store = store
        self._segments = segments
        self._spool_directory = spool_directory
        self._loop = loop
        self._waiting: list[Change] = []
        self._hurried = False
        """somebody waits for what waits"""
        self._timer: asyncio.TimerHandle | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._shared = False
        """what was passed on last were several changes"""
        self._writing: asyncio.Task[None] | None = None
        self._backlog: list[Change] = []
        """records that are to be stored, whatever it takes"""
        self._settled: list[tuple[Change, Exception | None]] = []
        self._freed: list[Callable[[], None]] = []
        self._stopped = False
        self._thread = ThreadPoolExecutor(1, "queue")

    def submit(self, change: Change, *, patient: bool = False) -> None:
        """`patient`: it need not be soon. Errors: QueueError when the writer has ended."""
        if self._stopped:
            raise QueueError("the queue is closed")
        self._waiting.append(change)
        if patient:
            if self._timer is None:
                self._timer = self._loop.call_later(PATIENCE, self.pass_on)
        elif not self._hurried:
            self._hurried = True
            self._loop.call_soon(self._pass_on_soon)

    def _pass_on_soon(self) -> None:
        """At the end of a turn in which something came that somebody waits for, or when the transaction before is done."""
        if self._writing is not None or not self._hurried:
            return
        if self._shared and len(self._waiting) < COMPANY:
            self._stop_timer()
            self._timer = self._loop.call_later(GATHERING, self.pass_on)
        else:
            self.pass_on()

    def pass_on(self) -> None:
        """Write what waits, as soon as the transaction before is done."""
        self._stop_timer()
        self._hurried = bool(self._waiting)
        if self._writing is None and (self._waiting or self._backlog):
            self._hurried = False
            batch, self._waiting = self._waiting, []
            self._shared = len(batch) > 1
            self._writing = self._loop.create_task(self._write(batch), name="queue")

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def stop(self) -> None:
        """Write what was submitted, try once more what could not be stored, and end."""
        self._stopped = True
        if self._retry is not None:
            self._retry.cancel()
        self.pass_on()
        while self._writing is not None:
            await asyncio.wait([self._writing])
            if self._waiting:
                self.pass_on()
        await self._store.let_go()
        await asyncio.to_thread(self._thread.shutdown)

    async def _write(self, batch: list[Change]) -> None:
        """Everything about one batch. Whatever happens, nobody is left waiting."""
        try:
            await self._store_batch(batch)
        except Exception as fault:
            told = {id(change) for change, _ in self._settled}
            self._settled += [(change, QueueError("the queue has failed")) for change in batch if id(change) not in told]
            self._loop.call_exception_handler({"message": "a transaction of the queue has failed", "exception": fault})
        self._writing = None
        self._report()
        if self._backlog and self._retry is None and not self._stopped:
            self._retry = self._loop.call_later(RETRY, self._try_again)
        if self._hurried:
            self._loop.call_soon(self._pass_on_soon)

    def _try_again(self) -> None:
        self._retry = None
        self.pass_on()

    async def _store_batch(self, batch: Sequence[Change]) -> None:
        batch = [change for change in batch if change.call is None or await self._called(change, change.call)]
        new = [change for change in batch if change.adds is not None]
        if any(change.place is not None or (change.body is not None and change.body.spool is not None) for change in new):
            new, refusals = await self._loop.run_in_executor(self._thread, self._write_bodies, new)
            for change, error in refusals:
                self._refuse(change, error)
        self._backlog += [change for change in batch if change.adds is None]
        # Segments are synced while the transaction is: both must be on disk, in whatever order, before anybody is told.
        placed = any(change.place for change in new)
        syncing = self._loop.run_in_executor(self._thread, self._segments.sync) if placed else None
        outcome = await self._try([*self._backlog, *new])
        unsynced = await syncing if syncing is not None else {}
        self._settled += [(change, None) for change in self._backlog if change.settle is not None]
        if outcome.error is None:
            self._clear_backlog()
        for change in new:
            reason = outcome.error or (unsynced.get(change.place.segment) if change.place is not None else None)
            if reason is None:
                self._settled.append((change, None))
            else:
                self._refuse(change, reason, stored=outcome.error is None or outcome.uncertain)
        if self._backlog and (await self._try(self._backlog)).error is None:
            self._clear_backlog()
        if self._freed:
            freed, self._freed = self._freed, []
            await self._loop.run_in_executor(self._thread, _call_all, freed)

    async def _called(self, change: Change, call: Callable[[], None]) -> bool:
        await self._store.let_go()
        try:
            await self._loop.run_in_executor(self._thread, call)
        except (OSError, sqlite3.Error) as error:
            self._settled.append((change, error))
            return False
        return True

    async def _try(self, changes: Sequence[Change]) -> Outcome:
        statements = [statement for change in changes for statement in change.statements]
        return await self._store.transaction(statements) if statements else Outcome()

    def _clear_backlog(self) -> None:
        """It has been stored."""
        self._freed += [change.free for change in self._backlog if change.free is not None]
        self._backlog = []

    def _refuse(self, change: Change, error: Exception, *, stored: bool = False) -> None:
        """`stored`: its row is, or may be, on disk."""
        if stored:
            self._backlog.append(Change([(REMOVE_MESSAGE, (change.adds,))], free=change.free))
        elif change.free is not None:
            self._freed.append(change.free)
        if not isinstance(error, (QueueError, QueueFull)):
            error = QueueFull(str(error)) if is_full(error) else QueueError(str(error))
        self._settled.append((change, error))

    def _report(self) -> None:
        """A fault of one of those who are told is no matter of the others."""
        settled, self._settled = self._settled, []
        for change, error in settled:
            settle, change.settle = change.settle, None
            if settle is not None:
                try:
                    settle(error)
                except Exception as fault:
                    self._loop.call_exception_handler({"message": "an outcome could not be told", "exception": fault})

    # in the thread

    def _write_bodies(self, changes: Sequence[Change]) -> tuple[list[Change], list[Refusal]]:
        """Write bodies that are not in their row: files durably, segments to be synced. Those that are ready, and those of which that fails."""
        ready, refusals = self._sync_files([change for change in changes if change.place is None])
        segments: dict[str, list[Change]] = {}
        for change in changes:
            if change.place is not None:
                segments.setdefault(change.place.segment, []).append(change)
        for name, placed in segments.items():
            try:
                self._segments.write(name, [(c.place.offset, c.body.octets()) for c in placed if c.place and c.body])
            except OSError as error:
                refusals += [(change, error) for change in placed]
            else:
                ready += placed
        return ready, refusals

    def _sync_files(self, changes: Sequence[Change]) -> tuple[list[Change], list[Refusal]]:
        ready: list[Change] = []
        refusals: list[Refusal] = []
        spooled = False
        for change in changes:
            try:
                if change.body is not None and change.body.spool is not None:
                    change.body.sync()
                    spooled = True
            except OSError as error:
                refusals.append((change, error))
            else:
                ready.append(change)
        if spooled:
            try:
                sync_directory(self._spool_directory)
            except OSError as error:
                return [], [*refusals, *((change, error) for change in ready)]
        return ready, refusals


def _call_all(calls: Sequence[Callable[[], None]]) -> None:
    for call in calls:
        call()
