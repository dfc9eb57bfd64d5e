"""Group commit: one thread makes everything durable that has gathered while the transaction before was written.

The thread gets what was submitted in one piece, and, but for records whose time is up, not before it has reported on the piece
before: each time that it wants to have the interpreter it has to wait for the event loop, and the loop for it. Results are
reported in the event loop, one call for each piece. A message to be added fails with its transaction and is never retried; its
row is removed again in case the failed transaction reached the disk after all. A record of what has happened to recipients is
kept and repeated until it is stored: until then a crash may deliver twice, never lose.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from attrs import define

from appliance_runtime.queue.body import Body
from appliance_runtime.queue.database import REMOVE_MESSAGE, Database, Statement, is_full
from appliance_runtime.queue.envelope import Settle
from appliance_runtime.queue.errors import QueueError, QueueFull
from appliance_runtime.queue.segments import Place, Segments
from appliance_runtime.state_directory import sync_directory

RETRY = 1.0
"""seconds of real time between attempts to store records while storing fails"""
GATHERING = 0.0005
"""seconds of real time in which few changes wait for company, if those before had any: a fifth less work for each message"""
COMPANY = 8
"""changes that need not wait for more"""
PATIENCE = 0.01
"""seconds of real time for which a record of a delivery waits for company: the thread is woken half as often"""


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
    """called in the thread before the transaction, while nothing else uses the database. Errors: OSError, sqlite3.Error"""
    free: Callable[[], None] | None = None
    """gives back the room of a body: when a removal is stored, or an addition is refused"""


class Writer:
    """The thread. `submit` and `pass_on` in the loop; `stop` writes everything that was passed on."""

    def __init__(self, database: Database, segments: Segments, spool_directory: Path, loop: asyncio.AbstractEventLoop) -> None:
        self._database = database
        self._segments = segments
        self._spool_directory = spool_directory
        self._loop = loop
        self._changes: queue.SimpleQueue[list[Change] | None] = queue.SimpleQueue()
        self._submitted: list[Change] = []
        """not passed on to the thread yet"""
        self._hurried = False
        """somebody waits for it"""
        self._busy = False
        """the thread has not reported on what it got last"""
        self._timer: asyncio.TimerHandle | None = None
        self._backlog: list[Change] = []
        self._batch: list[Change] = []
        self._settled: list[tuple[Change, Exception | None]] = []
        self._shared = False
        """what was passed on last were several changes"""
        self._stopped = False
        self._helper = ThreadPoolExecutor(1, "segments")
        self._thread = threading.Thread(target=self._run, name="queue", daemon=True)
        self._thread.start()

    def submit(self, change: Change, *, patient: bool = False) -> None:
        """`patient`: it need not be soon. Errors: QueueError when the writer has ended."""
        if self._stopped:
            raise QueueError("the queue is closed")
        self._submitted.append(change)
        if patient:
            if self._timer is None:
                self._timer = self._loop.call_later(PATIENCE, self.pass_on)
        elif not self._hurried:
            self._hurried = True
            self._loop.call_soon(self._pass_on_soon)

    def _pass_on_soon(self) -> None:
        """At the end of a turn in which something came that somebody waits for, or when the thread is free again."""
        if self._busy or not self._hurried:
            return
        if self._shared and len(self._submitted) < COMPANY:
            self._stop_timer()
            self._timer = self._loop.call_later(GATHERING, self.pass_on)
        else:
            self.pass_on()

    def pass_on(self) -> None:
        """Wake the thread once for everything that waits."""
        self._hurried = False
        self._stop_timer()
        submitted, self._submitted = self._submitted, []
        if not submitted:
            return
        if not self._stopped:
            self._shared = len(submitted) > 1
            self._busy = True
            self._changes.put(submitted)
        else:
            self._settle([(change.settle, QueueError("the queue is closed")) for change in submitted])

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def stop(self) -> None:
        """Write what was passed on and end. Blocks."""
        self._stopped = True
        self._changes.put(None)
        self._thread.join()
        self._helper.shutdown()

    def _run(self) -> None:
        try:
            while self._gather():
                self._write()
                self._report()
        finally:  # nobody may wait for a thread that has ended, for whatever reason
            self._stopped = True
            with contextlib.suppress(queue.Empty):
                while True:
                    self._batch += self._changes.get_nowait() or ()
            self._settled += [(change, QueueError("the queue is closed")) for change in self._batch]
            self._report()

    def _gather(self) -> bool:
        """Wait for the next batch; False at the end."""
        going = True
        with contextlib.suppress(queue.Empty):
            changes = self._changes.get(timeout=RETRY if self._backlog else None)
            while True:
                if changes is None:
                    going = False
                else:
                    self._batch += changes
                changes = self._changes.get_nowait()
        if not going:
            self._write()
            self._report()
        return going

    def _write(self) -> None:
        if not self._batch and not self._backlog:
            return
        self._batch = [change for change in self._batch if change.call is None or self._called(change, change.call)]
        new = self._write_bodies([change for change in self._batch if change.adds is not None])
        self._backlog += [change for change in self._batch if change.adds is None]
        # Segments are synced while the transaction is: both must be on disk, in whatever order, before anybody is told.
        syncing = self._helper.submit(self._segments.sync) if any(change.place for change in new) else None
        error: Exception | None = self._try([*self._backlog, *new])
        unsynced = syncing.result() if syncing is not None else {}
        self._settled += [(change, None) for change in self._backlog if change.settle is not None]
        if error is None:
            self._clear_backlog()
        for change in new:
            reason = error or (unsynced.get(change.place.segment) if change.place is not None else None)
            if reason is None:
                self._settled.append((change, None))
            else:
                self._refuse(change, reason, stored=error is None or self._database.uncertain)
        if self._backlog and self._try(self._backlog) is None:
            self._clear_backlog()
        self._batch = []

    def _called(self, change: Change, call: Callable[[], None]) -> bool:
        try:
            call()
        except (OSError, sqlite3.Error) as error:
            self._settled.append((change, error))
            return False
        return True

    def _clear_backlog(self) -> None:
        """It has been stored."""
        for change in self._backlog:
            if change.free is not None:
                change.free()
        self._backlog = []

    def _try(self, changes: Sequence[Change]) -> Exception | None:
        try:
            self._database.transaction([statement for change in changes for statement in change.statements])
        except sqlite3.Error as error:
            return error
        return None

    def _write_bodies(self, changes: Sequence[Change]) -> list[Change]:
        """Write bodies that are not in their row: files durably, segments to be synced; those of which that fails are refused."""
        ready = self._sync_files([change for change in changes if change.place is None])
        segments: dict[str, list[Change]] = {}
        for change in changes:
            if change.place is not None:
                segments.setdefault(change.place.segment, []).append(change)
        for name, placed in segments.items():
            try:
                self._segments.write(name, [(c.place.offset, c.body.octets()) for c in placed if c.place and c.body])
            except OSError as error:
                for change in placed:
                    self._refuse(change, error)
            else:
                ready += placed
        return ready

    def _sync_files(self, changes: Sequence[Change]) -> list[Change]:
        ready: list[Change] = []
        spooled = False
        for change in changes:
            try:
                if change.body is not None and change.body.spool is not None:
                    change.body.sync()
                    spooled = True
            except OSError as error:
                self._refuse(change, error)
            else:
                ready.append(change)
        if spooled:
            try:
                sync_directory(self._spool_directory)
            except OSError as error:
                for change in ready:
                    self._refuse(change, error)
                return []
        return ready

    def _refuse(self, change: Change, error: Exception, *, stored: bool = False) -> None:
        """`stored`: its row is, or may be, on disk."""
        if stored:
            self._backlog.append(Change([(REMOVE_MESSAGE, (change.adds,))], free=change.free))
        elif change.free is not None:
            change.free()
        self._settled.append((change, QueueFull(str(error)) if is_full(error) else QueueError(str(error))))

    def _report(self) -> None:
        settled, self._settled = self._settled, []
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._settle, [(c.settle, error) for c, error in settled])
        for change, _ in settled:
            change.settle = None

    def _settle(self, outcomes: Sequence[tuple[Settle | None, Exception | None]]) -> None:
        """In the loop. A fault of one of those who are told is no matter of the others."""
        self._busy = False
        if self._hurried:
            self._loop.call_soon(self._pass_on_soon)
        for settle, error in outcomes:
            if settle is not None:
                try:
                    settle(error)
                except Exception as fault:
                    self._loop.call_exception_handler({"message": "an outcome could not be told", "exception": fault})
