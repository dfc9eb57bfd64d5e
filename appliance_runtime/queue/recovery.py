"""What a queue directory holds at the start: messages and their state; damaged ones are set aside, never deleted.

Runs before anything else uses the directory. A database file that SQLite cannot read through is moved to `aside/` as a
whole, and every message that can still be read in it, from either end, is put into a new one.
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
    from_microseconds,
    is_damage,
)
from appliance_runtime.queue.envelope import Envelope, destination_domain
from appliance_runtime.queue.schedule import Recipient
from appliance_runtime.queue.segments import read
from appliance_runtime.state_directory import sync_directory, write_private

ENVELOPES = "SELECT mid, envelope, checksum FROM message ORDER BY mid"
ATTEMPTS = "SELECT mid, rid, completed, attempts, next_attempt, reason FROM attempt"
WARNINGS = "SELECT mid, rid, count, last FROM warning"
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
class Found:
    messages: list[Stored] = field(factory=list)
    reserved: dict[str, int] = field(factory=dict)
    aside: list[str] = field(factory=list)
    """names of what was set aside"""


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


def recover(places: Places, database: Database, now: datetime) -> Found:
    """Read everything but the bodies, and tidy up. Errors: sqlite3.Error, OSError."""
    found = Found()
    try:
        envelopes, attempts, warnings, found.reserved = _read(database)
    except sqlite3.Error as error:
        if not is_damage(error):
            raise
        database.close()
        found.aside.append(_rescue(places, database, now))
        envelopes, attempts, warnings, found.reserved = _read(database)
    for mid, octets, checksum in envelopes:
        envelope = _envelope(mid, octets, checksum)
        if envelope is None:
            found.aside.append(set_aside(places, database, mid, octets))
            database.transaction([(REMOVE_MESSAGE, (mid,)), (REMOVE_ATTEMPTS, (mid,)), (REMOVE_WARNINGS, (mid,))])
        else:
            found.messages.append(_stored(envelope, attempts.get(mid, {}), warnings))
    files = {stored.envelope.spool for stored in found.messages}
    segments = {stored.envelope.place.segment for stored in found.messages if stored.envelope.place}
    for folder, named in ((places.spool, files), (places.segments, segments)):
        for path in folder.iterdir():
            if path.name not in named:
                path.unlink()
    return found


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


def _read(database: Database) -> tuple[list[tuple[int, bytes, int]], dict[int, Attempts], Warnings, dict[str, int]]:
    connection = database.open()
    attempts: dict[int, Attempts] = {}
    for mid, rid, *state in connection.execute(ATTEMPTS):
        attempts.setdefault(mid, {})[rid] = tuple(state)
    warnings = {(mid, rid): (count, last) for mid, rid, count, last in connection.execute(WARNINGS)}
    return connection.execute(ENVELOPES).fetchall(), attempts, warnings, dict(connection.execute(NUMBERS).fetchall())


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


def _rescue(places: Places, database: Database, now: datetime) -> str:
    """Move the damaged file away and fill a new one with what it still gives; returns its name."""
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
