"""Bodies of recently stored messages, so that fresh mail is delivered without reading it back. Bounded in octets."""

from __future__ import annotations


class BodyCache:
    """The newest bodies up to `limit` octets in all; the oldest ones leave first."""

    def __init__(self, limit: int) -> None:
        self.octets = 0
        self._limit = limit
        self._bodies: dict[int, bytes] = {}

    def put(self, mid: int, body: bytes) -> None:
        self.drop(mid)
        self._bodies[mid] = body
        self.octets += len(body)
        while self.octets > self._limit:
            self.drop(next(iter(self._bodies)))

    def get(self, mid: int) -> bytes | None:
        return self._bodies.get(mid)

    def drop(self, mid: int) -> None:
        self.octets -= len(self._bodies.pop(mid, b""))
