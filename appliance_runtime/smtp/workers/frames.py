"""What the appliance and its receiving workers say to each other over a Unix socket.

A frame has two lengths of four octets, of its head and of its body, and then these. A worker talks to anybody, so its heads are
JSON: nothing but data ever comes from it. To a worker they are pickled values, the ones below. The client's socket goes to
the worker with the frame of its `Carry`.
"""

from __future__ import annotations

import json
import pickle
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import field, frozen

from appliance_runtime.dns.answers import Reverse
from appliance_runtime.services import Endpoint
from appliance_runtime.smtp.access import IPAddress
from appliance_runtime.tls import ServerTls
from appliance_state.model import Config

CHUNK = 256 * 1024
"""octets that are read at once"""
AT_ONCE = 4096
"""octets; a frame that is not longer goes into a socket whole or not at all"""
FULL = "full"
_LENGTHS = struct.Struct("!II")
_ENCODE = json.JSONEncoder(separators=(",", ":")).encode


@frozen(kw_only=True)
class Settings:
    """A snapshot as far as sessions need it. `number`: of this one; `logged`: the events that some log wants."""

    number: int
    config: Config
    tls: Mapping[str, ServerTls] = field(repr=False)
    """by the name of the context in the snapshot"""
    logged: frozenset[str]
    spool: Path
    network_scale: float


@frozen
class Carry:
    """Serve this client, whose socket comes with it. `reverse` decides with `client` as it did in the appliance."""

    icid: int
    endpoint: Endpoint
    client: IPAddress
    reverse: Reverse


@frozen
class Stored:
    """What became of a message. `error`: empty, FULL or another text."""

    mid: int
    error: str


@frozen
class Answered:
    """Whether a limit has room."""

    question: int
    allowed: bool


@frozen
class MoreNumbers:
    """These MIDs are the worker's."""

    mids: tuple[int, ...]


@frozen
class Ending:
    """How a session is to end: "retire", "cut" or "abort"."""

    icid: int
    how: str


@frozen
class Sign:
    """Give a sign of life."""


ToWorker = Settings | Carry | Stored | Answered | MoreNumbers | Ending | Sign


def _packed(head: bytes, body: bytes = b"") -> bytes:
    return _LENGTHS.pack(len(head), len(body)) + head + body


def to_worker(value: ToWorker) -> bytes:
    return _packed(pickle.dumps(value))


def to_appliance(head: list[Any], body: bytes = b"") -> bytes:
    return _packed(_ENCODE(head).encode(), body)


def from_appliance(head: bytes) -> ToWorker:
    value: ToWorker = pickle.loads(head)
    return value


def from_worker(head: bytes) -> list[Any]:
    """The name of a message, and what belongs to it."""
    value: list[Any] = json.loads(head)
    return value


class Frames:
    """Cuts what comes in into frames."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._at = 0

    def feed(self, data: bytes | memoryview) -> None:
        if self._at:
            del self._data[: self._at]
            self._at = 0
        self._data += data

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        """Head and body of every frame that is complete."""
        while len(self._data) - self._at >= _LENGTHS.size:
            head, body = _LENGTHS.unpack_from(self._data, self._at)
            begin = self._at + _LENGTHS.size
            middle, end = begin + head, begin + head + body
            if len(self._data) < end:
                return
            self._at = end
            yield bytes(self._data[begin:middle]), bytes(self._data[middle:end])
