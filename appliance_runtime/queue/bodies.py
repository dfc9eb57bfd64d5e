"""Stored bodies: the newest from a bounded cache, the others from the database or their file, each one checked.

A body whose length or checksum is not that of its envelope is damaged. Reading blocks and may be done in any thread.
"""

from __future__ import annotations

import sqlite3
import threading
import zlib
from collections.abc import Sequence

from appliance_runtime.queue import segments
from appliance_runtime.queue.database import Database, is_damage
from appliance_runtime.queue.envelope import Envelope
from appliance_runtime.queue.errors import QueueError, UnreadableMessage
from appliance_runtime.queue.recovery import Places, set_aside


class BodyCache:
    """The newest bodies up to `limit` octets in all; the oldest ones leave first."""

    def __init__(self, limit: int) -> None:
        self.octets = 0
        self._limit = limit
        self._bodies: dict[int, bytes] = {}
        self._verbatim: set[int] = set()

    def put(self, mid: int, body: bytes, *, verbatim: bool = False) -> None:
        """`verbatim`: see `Body`."""
        if mid in self._bodies:
            self.drop(mid)
        self._bodies[mid] = body
        if verbatim:
            self._verbatim.add(mid)
        self.octets += len(body)
        while self.octets > self._limit:
            self.drop(next(iter(self._bodies)))

    def get(self, mid: int) -> bytes | None:
        return self._bodies.get(mid)

    def verbatim(self, mid: int) -> bool:
        return mid in self._verbatim

    def drop(self, mid: int) -> None:
        self.octets -= len(self._bodies.pop(mid, b""))
        self._verbatim.discard(mid)


class StoredBodies:
    """Reads over a connection of its own, so that a reader never waits for the writer."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._database = Database(places.database)
        self._lock = threading.Lock()

    def read(self, envelope: Envelope) -> bytes:
        """Errors: UnreadableMessage, QueueError."""
        mid = envelope.mid
        try:
            octets = self._octets(envelope)
        except FileNotFoundError:
            raise UnreadableMessage(f"the body of MID {mid} is missing") from None
        except sqlite3.Error as error:
            self.close()
            raise (UnreadableMessage if is_damage(error) else QueueError)(f"MID {mid}: {error}") from error
        except OSError as error:
            raise QueueError(f"MID {mid}: {error}") from error
        if not _intact(octets, envelope):
            raise UnreadableMessage(f"the body of MID {mid} is damaged")
        return octets

    def read_rows(self, envelopes: Sequence[Envelope]) -> dict[int, bytes]:
        """By MID, the bodies that stand whole in the database; what cannot be read now is left out."""
        wanted = {envelope.mid: envelope for envelope in envelopes if envelope.spool is None and envelope.place is None}
        query = f"SELECT mid, body FROM message WHERE mid IN ({','.join('?' * len(wanted))})"
        try:
            with self._lock:
                rows = self._database.open().execute(query, [*wanted]).fetchall()
        except sqlite3.Error:
            self.close()
            return {}
        return {mid: body for mid, body in rows if body is not None and _intact(body, wanted[mid])}

    def set_aside(self, envelope: Envelope) -> str:
        """Keep a damaged message outside the queue; returns its name. Errors: OSError."""
        with self._lock:
            return set_aside(self._places, self._database, envelope.mid, envelope.octets(), envelope)

    def close(self) -> None:
        with self._lock:
            self._database.close()

    def _octets(self, envelope: Envelope) -> bytes:
        if envelope.place is not None:
            return segments.read(self._places.segments, envelope.place, envelope.size)
        if envelope.spool is not None:
            return (self._places.spool / envelope.spool).read_bytes()
        with self._lock:
            row = self._database.open().execute("SELECT body FROM message WHERE mid = ?", (envelope.mid,)).fetchone()
        return row[0] if row and row[0] else b""


def _intact(octets: bytes, envelope: Envelope) -> bool:
    return len(octets) == envelope.size and zlib.crc32(octets) == envelope.checksum
