"""The process that stores the queue, on a disk that fails as a test says.

`failures` beside the database has a word for each of the next transactions: "lost" fails in its last step and does not reach
the file, "kept" does so and reaches it, "begin" fails before anything is done, "die" kills the process in its last step.
"""

from __future__ import annotations

import os
import signal
import sqlite3
from pathlib import Path

from appliance_runtime.queue import storing
from appliance_runtime.queue.database import Database


class FailingConnection:
    def __init__(self, connection: sqlite3.Connection, failures: Path) -> None:
        self.connection = connection
        self.failures = failures

    def execute(self, sql: str, *values: object) -> sqlite3.Cursor:
        if sql.startswith("BEGIN") and self._next() == "begin":
            self._take()
            raise sqlite3.OperationalError("disk I/O error")
        if sql == "COMMIT":
            self._fail(sql)
        return self.connection.execute(sql, *values)

    def executemany(self, sql: str, rows: list[tuple[object, ...]]) -> sqlite3.Cursor:
        """One row: a transaction of its own."""
        if self._next() == "begin":
            self._take()
            raise sqlite3.OperationalError("disk I/O error")
        self._fail(sql, *rows)
        return self.connection.executemany(sql, rows)

    def close(self) -> None:
        self.connection.close()

    def _fail(self, sql: str, *row: tuple[object, ...]) -> None:
        how = self._take()
        if how == "kept":
            self.connection.execute(sql, *row)
        if how == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if how:
            raise sqlite3.OperationalError("disk I/O error")

    def _next(self) -> str:
        return self.failures.read_text().partition("\n")[0] if self.failures.exists() else ""

    def _take(self) -> str:
        first, _, rest = (self.failures.read_text() if self.failures.exists() else "").partition("\n")
        if first:
            self.failures.write_text(rest)
        return first


class FailingDatabase(Database):
    def open(self) -> sqlite3.Connection:
        return FailingConnection(super().open(), self.path.with_name("failures"))  # type: ignore[return-value]


def main() -> None:
    storing.main(FailingDatabase)
