"""Group commit: one thread makes everything durable that has gathered while the transaction before was written.

Results are reported in the event loop, one call for each transaction. A message to be added fails with its transaction and
is never retried; its row is removed again in case the failed transaction reached the disk after all. A record of what has
happened to recipients is kept and repeated until it is stored: until then a crash may deliver twice, never lose.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from attrs import define

from appliance_runtime.queue.body import Body
from appliance_runtime.queue.database import REMOVE_MESSAGE, Database, Statement, is_full
from appliance_runtime.queue.errors import QueueError, QueueFull
from appliance_runtime.state_directory import sync_directory

RETRY = 1.0
"""seconds of real time between attempts to store records while storing fails"""


@define(eq=False)
class Change:
    """Statements that belong together. `adds`: the MID of a message that they add."""

    statements: Sequence[Statement]
    settle: Callable[[Exception | None], None] | None = None
    """called in the loop with the outcome; a record counts as stored once it is in the writer's care"""
    adds: int | None = None
    spooled: Body | None = None
    """its file is synced before the transaction"""
    unlink: Path | None = None
    """removed after the transaction"""


class Writer:
    """The thread. `submit` from the loop; `stop` writes everything that waits."""

    def __init__(self, database: Database, spool_directory: Path, loop: asyncio.AbstractEventLoop) -> None:
        self._database = database
        self._spool_directory = spool_directory
        self._loop = loop
        self._changes: queue.SimpleQueue[Change | None] = queue.SimpleQueue()
        self._backlog: list[Change] = []
        self._batch: list[Change] = []
        self._settled: list[tuple[Change, Exception | None]] = []
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="queue", daemon=True)
        self._thread.start()

    def submit(self, change: Change) -> None:
        """Errors: QueueError when the writer has ended."""
        if self._stopped or not self._thread.is_alive():
            raise QueueError("the queue is closed")
        self._changes.put(change)

    def stop(self) -> None:
        """Write what waits and end. Blocks."""
        self._stopped = True
        self._changes.put(None)
        self._thread.join()

    def _run(self) -> None:
        try:
            while self._gather():
                self._write()
                self._report()
        finally:  # nobody may wait for a thread that has ended, for whatever reason
            self._stopped = True
            with contextlib.suppress(queue.Empty):
                while True:
                    change = self._changes.get_nowait()
                    if change is not None:
                        self._batch.append(change)
            self._settled += [(change, QueueError("the queue is closed")) for change in self._batch]
            self._report()

    def _gather(self) -> bool:
        """Wait for the next batch; False at the end."""
        going = True
        with contextlib.suppress(queue.Empty):
            change = self._changes.get(timeout=RETRY if self._backlog else None)
            while True:
                if change is None:
                    going = False
                else:
                    self._batch.append(change)
                change = self._changes.get_nowait()
        if not going:
            self._write()
            self._report()
        return going

    def _write(self) -> None:
        if not self._batch and not self._backlog:
            return
        new = self._sync([change for change in self._batch if change.adds is not None])
        self._backlog += [change for change in self._batch if change.adds is None]
        error = self._try([*self._backlog, *new])
        if error is None:
            self._settled += [(change, None) for change in new]
        else:
            for change in new:
                self._refuse(change, error)
            error = self._try(self._backlog)
        self._settled += [(change, None) for change in self._backlog if change.settle is not None]
        if error is None:
            for change in self._backlog:
                if change.unlink is not None:
                    with contextlib.suppress(OSError):  # an orphan is removed at the next start
                        change.unlink.unlink(missing_ok=True)
            self._backlog = []
        self._batch = []

    def _try(self, changes: Sequence[Change]) -> Exception | None:
        try:
            self._database.transaction([statement for change in changes for statement in change.statements])
        except sqlite3.Error as error:
            return error
        return None

    def _sync(self, changes: Sequence[Change]) -> list[Change]:
        """Make spool files durable; those of which that fails are refused."""
        ready: list[Change] = []
        spooled = False
        for change in changes:
            try:
                if change.spooled is not None and change.spooled.spool is not None:
                    change.spooled.sync()
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

    def _refuse(self, change: Change, error: Exception) -> None:
        if self._database.uncertain:
            self._backlog.append(Change([(REMOVE_MESSAGE, (change.adds,))]))
        self._settled.append((change, QueueFull(str(error)) if is_full(error) else QueueError(str(error))))

    def _report(self) -> None:
        settled, self._settled = self._settled, []
        if settled and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_settle, [(c.settle, error) for c, error in settled])
        for change, _ in settled:
            change.settle = None


def _settle(outcomes: Sequence[tuple[Callable[[Exception | None], None] | None, Exception | None]]) -> None:
    for settle, error in outcomes:
        if settle is not None:
            settle(error)
