"""The queue's SQLite file: one row for each message, with its body when that is small (`body.MEMORY_LIMIT`); rows for what has happened to recipients.

Write-ahead log, synchronous=FULL: a transaction is on disk when `transaction` returns. A recipient without an `attempt`
row is untried, so that the usual message costs one INSERT and one DELETE. After any failed transaction the connection is
given up, because what the operating system still has in memory after a failed fsync cannot be trusted to be on disk; the
next one opens the file anew and moves the whole write-ahead log into the file before anything is added.
"""

from __future__ import annotations

import contextlib
import errno
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import chain
from pathlib import Path

PAGE_SIZE = 8192
LOG_PAGES = 2000
"""pages of the write-ahead log after which they are moved into the file"""
SCHEMA = """
CREATE TABLE IF NOT EXISTS message (mid INTEGER PRIMARY KEY, envelope BLOB NOT NULL, checksum INTEGER NOT NULL, body BLOB);
CREATE TABLE IF NOT EXISTS attempt (
    mid INTEGER NOT NULL, rid INTEGER NOT NULL, completed INTEGER NOT NULL,
    attempts INTEGER NOT NULL, next_attempt INTEGER NOT NULL, reason BLOB NOT NULL, PRIMARY KEY (mid, rid)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS warning (
    mid INTEGER NOT NULL, rid INTEGER NOT NULL, count INTEGER NOT NULL, last INTEGER NOT NULL, PRIMARY KEY (mid, rid)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS number (name TEXT PRIMARY KEY, reserved INTEGER NOT NULL) WITHOUT ROWID;
CREATE VIEW IF NOT EXISTS change AS SELECT mid, envelope, checksum, body FROM message;
CREATE TRIGGER IF NOT EXISTS addition INSTEAD OF INSERT ON change WHEN new.envelope IS NOT NULL BEGIN
    INSERT INTO message (mid, envelope, checksum, body) VALUES (new.mid, new.envelope, new.checksum, new.body);
END;
CREATE TRIGGER IF NOT EXISTS removal INSTEAD OF INSERT ON change WHEN new.envelope IS NULL BEGIN
    DELETE FROM message WHERE mid = new.mid;
END;
"""
ADD_MESSAGE = "INSERT INTO message (mid, envelope, checksum, body) VALUES (?, ?, ?, ?)"
REMOVE_MESSAGE = "DELETE FROM message WHERE mid = ?"
CHANGE = "INSERT INTO change (mid, envelope, checksum, body) VALUES (?, ?, ?, ?)"
"""adds the message, or removes it where there is no envelope"""
PUT_ATTEMPT = "INSERT OR REPLACE INTO attempt (mid, rid, completed, attempts, next_attempt, reason) VALUES (?, ?, ?, ?, ?, ?)"
REMOVE_ATTEMPTS = "DELETE FROM attempt WHERE mid = ?"
PUT_WARNING = "INSERT OR REPLACE INTO warning (mid, rid, count, last) VALUES (?, ?, ?, ?)"
REMOVE_WARNINGS = "DELETE FROM warning WHERE mid = ?"
RESERVE = "INSERT OR REPLACE INTO number (name, reserved) VALUES (?, ?)"

_ORDER = (ADD_MESSAGE, PUT_ATTEMPT, PUT_WARNING, REMOVE_MESSAGE, REMOVE_ATTEMPTS, REMOVE_WARNINGS, RESERVE)
"""in which statements of one transaction are done: what removes a message comes behind everything about it"""
_LARGEST_STEP = 64
"""rows in one step, a power of two"""
STATEMENTS = 256
"""that stay prepared"""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

Statement = tuple[str, tuple[object, ...]]

DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file's content, and not the moment, is to blame. Extended codes carry the plain one in their low octet."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in DAMAGED


def is_full(error: Exception) -> bool:
    """Whether there is no room."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL


def to_microseconds(moment: datetime) -> int:
    """A moment as the database keeps it."""
    return (moment - EPOCH) // MICROSECOND


def from_microseconds(count: int) -> datetime:
    return EPOCH + count * MICROSECOND


def in_one_step(statements: Sequence[Statement]) -> Statement | None:
    """The same as one statement; None where they are too many, or not only messages that come and go.

    SQLite lets go of the interpreter several times for each statement, and each time the writing thread has to wait until it gets it
    back from a busy event loop, which in turn waits for it. This is what nearly every transaction under load consists of.
    """
    if not 0 < len(statements) <= _LARGEST_STEP:
        return None
    additions = [values for sql, values in statements if sql == ADD_MESSAGE]
    removals = [values for sql, values in statements if sql == REMOVE_MESSAGE]
    if len(additions) + len(removals) < len(statements):
        return None
    if not removals:
        sql, rows = ADD_MESSAGE, additions
    elif not additions:
        sql, rows = REMOVE_MESSAGE, removals
    else:
        sql, rows = CHANGE, [*additions, *((mid, None, None, None) for (mid,) in removals)]
    return _of_many_rows(sql, len(rows)), tuple(chain.from_iterable(rows))


def in_few_steps(statements: Iterable[Statement]) -> Iterator[Statement]:
    """The same statements with up to 64 rows each. Numbers of rows are powers of two, so that the prepared statements are few."""
    rows: dict[str, list[tuple[object, ...]]] = {}
    for sql, values in statements:
        rows.setdefault(sql, []).append(values)
    for sql in _ORDER:
        waiting, step = rows.pop(sql, []), _LARGEST_STEP
        at = 0
        while at < len(waiting):
            while step > len(waiting) - at:
                step //= 2
            yield _of_many_rows(sql, step), tuple(chain.from_iterable(waiting[at : at + step]))
            at += step
    assert not rows


@cache
def _of_many_rows(sql: str, count: int) -> str:
    if sql.startswith("INSERT"):
        head, _, row = sql.rpartition(" VALUES ")
        return f"{head} VALUES {', '.join([row] * count)}"
    head, _, mark = sql.rpartition(" = ")
    return f"{head} IN ({', '.join([mark] * count)})"


class Database:
    """One connection. Not for several threads at once. Errors of every call: sqlite3.Error."""

    def __init__(self, path: Path, *, limit: int = 0) -> None:
        """`limit`: largest size of the file in octets; 0 = this connection only reads a file that another one writes."""
        self.path = path
        self.uncertain = False
        """whether the last transaction failed in its last step, so that nobody knows whether it is on disk"""
        self._limit = limit
        self._connection: sqlite3.Connection | None = None

    def open(self) -> sqlite3.Connection:
        """The connection; made when there is none."""
        if self._connection is None:
            connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=30, cached_statements=STATEMENTS)
            try:
                if self._limit:
                    self._prepare(connection)
                else:
                    connection.execute("PRAGMA query_only=ON")
            except sqlite3.Error:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.execute(f"PRAGMA page_size={PAGE_SIZE}")
        connection.execute("PRAGMA journal_mode=WAL").fetchone()
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA secure_delete=OFF").fetchone()
        connection.execute(f"PRAGMA wal_autocheckpoint={LOG_PAGES}").fetchone()
        page_size = connection.execute("PRAGMA page_size").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={self._limit // page_size}").fetchone()
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise sqlite3.OperationalError("the write-ahead log is in use")
        connection.executescript(SCHEMA)

    def transaction(self, statements: Iterable[Statement]) -> None:
        """Do all or nothing, durably."""
        self.uncertain = False
        try:
            self._do(self.open(), list(statements))
        except sqlite3.Error:
            self.close()
            raise

    def _do(self, connection: sqlite3.Connection, statements: Sequence[Statement]) -> None:
        step = in_one_step(statements)
        if step is not None:  # a statement outside a transaction is one by itself
            sql, values = step
            self.uncertain = True
            connection.executemany(sql, [values])  # unlike `execute` it does not ask for a row id afterwards
            return
        connection.execute("BEGIN IMMEDIATE")
        for sql, values in in_few_steps(statements):
            connection.execute(sql, values)
        self.uncertain = True
        connection.execute("COMMIT")

    def close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None
