"""What a queue directory holds at the start: messages and their state; damaged ones are set aside, never deleted.

It is read in slices, by MID. A database file that SQLite cannot read through is moved to `aside/` as a whole, and every
message that can still be read in it, from either end, is put into a new one; while that is done, nothing else may use it.
"""

from __future__ import annotations

import contextlib
import sqlite3
import zlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from attrs import define, field, frozen

from appliance_runtime.queue.database import (
    ADD_MESSAGE,
    PUT_ATTEMPT,
    PUT_WARNING,
    REMOVE_ATTEMPTS,
    REMOVE_MESSAGE,
    REMOVE_WARNINGS,
    RESERVE,
    Database,
    Statement,
    from_microseconds,
)
from appliance_runtime.queue.envelope import Envelope, destination_domain
from appliance_runtime.queue.schedule import Recipient
from appliance_runtime.queue.segments import read
from appliance_runtime.state_directory import sync_directory, write_private

ENVELOPES = "SELECT mid, envelope, checksum FROM message WHERE mid > ? AND mid <= ? ORDER BY mid LIMIT ?"
ATTEMPTS = "SELECT mid, rid, completed, attempts, next_attempt, reason FROM attempt WHERE mid > ? AND mid <= ?"
WARNINGS = "SELECT mid, rid, count, last FROM warning WHERE mid > ? AND mid <= ?"
LAST = "SELECT max(mid) FROM message"
NUMBERS = "SELECT name, reserved FROM number"

Attempts = dict[int, tuple[int, int, int, bytes]]
"""by RID: completed, failed attempts, next attempt, last reason"""
Warnings = dict[tuple[int, int], tuple[int, int]]
"""by MID and RID: number, time of the last one"""


@frozen
class Stored:
    """A message as it was found."""

    envelope: Envelope
    recipients: list[Recipient]
    recorded: bool


@define
class Slice:
    """Messages that followed each other in the database."""

    messages: list[Stored] = field(factory=list)
    damaged: list[tuple[int, bytes]] = field(factory=list)
    """MID, what stands in the place of the envelope"""
    end: int | None = None
    """MID behind which the next slice begins; None = there is none"""


@frozen
class Places:
    """The folders and files of a queue directory."""

    root: Path

    @property
    def database(self) -> Path:
        return self.root / "queue.sqlite"

    @property
    def numbers(self) -> Path:
        return self.root / "numbers"

    @property
    def spool(self) -> Path:
        return self.root / "spool"

    @property
    def segments(self) -> Path:
        return self.root / "segments"

    @property
    def aside(self) -> Path:
        return self.root / "aside"

    def make(self) -> None:
        for folder in (self.root, self.spool, self.segments, self.aside):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        sync_directory(self.root)


def last_mid(database: Database) -> int:
    """The highest MID that is stored. Errors: sqlite3.Error."""
    return database.open().execute(LAST).fetchone()[0] or 0


def reserved_numbers(database: Database) -> dict[str, int]:
    """Errors: sqlite3.Error."""
    return dict(database.open().execute(NUMBERS).fetchall())


def read_slice(database: Database, after: int, last: int, count: int) -> Slice:
    """Up to `count` messages with MIDs from `after` (excluded) to `last`, without their bodies. Errors: sqlite3.Error."""
    connection = database.open()
    rows = connection.execute(ENVELOPES, (after, last, count)).fetchall()
    end = rows[-1][0] if len(rows) == count else last
    attempts: dict[int, Attempts] = {}
    for mid, rid, *state in connection.execute(ATTEMPTS, (after, end)):
        attempts.setdefault(mid, {})[rid] = tuple(state)
    warnings = {(mid, rid): (number, last) for mid, rid, number, last in connection.execute(WARNINGS, (after, end))}
    found = Slice(end=end if len(rows) == count else None)
    for mid, octets, checksum in rows:
        envelope = _envelope(mid, octets, checksum)
        if envelope is None:
            found.damaged.append((mid, octets))
        else:
            found.messages.append(_stored(envelope, attempts.get(mid, {}), warnings))
    return found


def removal(mid: int) -> list[Statement]:
    return [(REMOVE_MESSAGE, (mid,)), (REMOVE_ATTEMPTS, (mid,)), (REMOVE_WARNINGS, (mid,))]


def set_aside(places: Places, database: Database, mid: int, octets: bytes, envelope: Envelope | None = None) -> str:
    """Keep what can be read of a damaged message outside the queue; returns its name for the alert. Errors: OSError.

    `octets`: the stored envelope; `envelope`: what it says, None = it is the damaged part.
    """
    write_private(places.aside / f"{mid}.envelope", octets)
    name = f"{mid}.body"
    if envelope is not None and envelope.spool is not None:
        with contextlib.suppress(FileNotFoundError):
            (places.spool / envelope.spool).rename(places.aside / name)
        sync_directory(places.aside)
        return f"aside/{name}"
    body = b""
    if envelope is not None and envelope.place is not None:
        with contextlib.suppress(FileNotFoundError):
            body = read(places.segments, envelope.place, envelope.size)
    else:
        with contextlib.suppress(sqlite3.Error):
            row = database.open().execute("SELECT body FROM message WHERE mid = ?", (mid,)).fetchone()
            body = row[0] if row and row[0] else b""
    write_private(places.aside / name, body)
    return f"aside/{name}"


def _envelope(mid: int, octets: object, checksum: int) -> Envelope | None:
    if not isinstance(octets, bytes) or zlib.crc32(octets) != checksum:
        return None
    try:
        envelope = Envelope.from_octets(octets)
    except ValueError:
        return None
    return envelope if envelope.mid == mid else None


def _stored(envelope: Envelope, attempts: Attempts, warnings: Warnings) -> Stored:
    recipients = []
    for rid, address in enumerate(envelope.recipients):
        completed, count, due, reason = attempts.get(rid, (0, 0, 0, b""))
        if not completed:
            number, last = warnings.get((envelope.mid, rid), (0, 0))
            recipients.append(
                Recipient(
                    rid,
                    address,
                    destination_domain(address),
                    from_microseconds(due) if due else envelope.received,
                    count,
                    reason.decode("utf-8", "surrogateescape"),
                    number,
                    from_microseconds(last) if number else None,
                )
            )
    return Stored(envelope, recipients, bool(attempts))


def rescue(places: Places, database: Database, now: datetime) -> str:
    """Move the damaged file away and fill a new one with what it still gives; returns its name. Errors: OSError, sqlite3.Error."""
    database.close()
    old = places.aside / f"{database.path.name}.{now:%Y%m%dT%H%M%S}"
    while old.exists():
        old = old.with_name(f"{old.name}x")
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            database.path.with_name(f"{database.path.name}{suffix}").rename(old.with_name(f"{old.name}{suffix}"))
    sync_directory(places.aside)
    connection = sqlite3.connect(old, isolation_level=None)
    try:
        for table, key, insert in (
            ("number", "name", RESERVE),
            ("attempt", "mid, rid", PUT_ATTEMPT),
            ("warning", "mid, rid", PUT_WARNING),
            ("message", "mid", ADD_MESSAGE),
        ):
            keys = {*_until_damage(connection, f"SELECT {key} FROM {table} ORDER BY {key}")}
            keys |= {*_until_damage(connection, f"SELECT {key} FROM {table} ORDER BY {key.replace(',', ' DESC,')} DESC")}
            row_of = f"SELECT * FROM {table} WHERE ({key}) = ({', '.join('?' for _ in key.split(','))})"
            for found in sorted(keys):
                database.transaction([(insert, row) for row in _until_damage(connection, row_of, found)])
    finally:
        connection.close()
    return f"aside/{old.name}"


def _until_damage(connection: sqlite3.Connection, query: str, values: tuple[object, ...] = ()) -> Iterator[tuple[object, ...]]:
    with contextlib.suppress(sqlite3.Error):
        yield from connection.execute(query, values)
