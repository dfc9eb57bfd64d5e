"""Sockets open = sockets wanted: prepared before a commit is recorded, switched after it (commit.md 5).

A socket that is open for the same real address and port is kept and handed to its new owner, so that two listeners
may exchange their ports in one commit. The table holds each listening socket; an acceptor works on a duplicate.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Mapping

from attrs import define, field

from appliance_runtime.addresses import AddressMap, Place
from appliance_runtime.services import SERVICE_LABELS, Accepting, Acceptor, Endpoint

TRIES = 1000
"""ports that are tried upwards from one that is taken"""


@define(eq=False)
class OpenSocket:
    endpoint: Endpoint
    sock: socket.socket
    real: tuple[str, int]
    accepting: Accepting | None = None

    def stop(self) -> None:
        if self.accepting:
            self.accepting.close()
            self.accepting = None


@define(eq=False)
class PreparedSockets:
    """What a commit would open and close. Exactly one of `apply` and `abort` is called."""

    table: SocketTable
    wanted: dict[tuple[str, int], OpenSocket] = field(factory=dict)
    opened: list[OpenSocket] = field(factory=list)
    closed_early: list[OpenSocket] = field(factory=list)
    """given-up sockets that stood in the way of a new one"""
    problems: list[str] = field(factory=list)

    async def apply(self) -> list[Endpoint]:
        """Switch; the endpoints that are new."""
        return await self.table.switch(self)

    async def abort(self) -> None:
        """Close what was opened; open again what was closed for it."""
        for entry in self.opened:
            entry.sock.close()
        for entry in self.closed_early:
            entry.sock = _bound(*entry.real)
            entry.sock.listen(entry.endpoint.backlog)
            await self.table.accept(entry)


@define(eq=False)
class SocketTable:
    address_map: AddressMap
    acceptors: Mapping[str, Acceptor]
    open: dict[tuple[str, int], OpenSocket] = field(factory=dict)
    """by logical address and port"""

    def prepare(self, wanted: list[Endpoint]) -> PreparedSockets:
        """Bind what is missing. Problems are collected, and nothing is visible from outside yet."""
        prepared = PreparedSockets(self)
        logical = {endpoint.logical for endpoint in wanted}
        spare = {entry.real: entry for key, entry in self.open.items() if key not in logical}
        for endpoint in wanted:
            kept = self.open.get(endpoint.logical)
            if kept is None:
                place = self.address_map.listen(*endpoint.logical)
                kept = spare.pop((place.address, place.port), None)
            if kept is not None:
                prepared.wanted[endpoint.logical] = OpenSocket(endpoint, kept.sock, kept.real, kept.accepting)
                continue
            try:
                sock = self._bind(place, endpoint, spare, prepared)
            except OSError as error:
                prepared.problems.append(_problem(endpoint, place, error))
                continue
            entry = OpenSocket(endpoint, sock, sock.getsockname()[:2])
            prepared.opened.append(entry)
            prepared.wanted[endpoint.logical] = entry
        return prepared

    def _bind(self, place: Place, endpoint: Endpoint, spare: dict[tuple[str, int], OpenSocket], prepared: PreparedSockets) -> socket.socket:
        port = place.port
        while True:
            try:
                sock = _bound(place.address, port)
                sock.listen(endpoint.backlog)
                return sock
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                in_the_way = next((entry for real, entry in spare.items() if real[1] == port), None)
                if in_the_way is not None:
                    spare.pop(in_the_way.real)
                    prepared.closed_early.append(in_the_way)
                    in_the_way.stop()
                    in_the_way.sock.close()
                elif place.movable and port < min(65535, place.port + TRIES):
                    port += 1
                else:
                    raise

    async def switch(self, prepared: PreparedSockets) -> list[Endpoint]:
        fresh = []
        kept = {id(entry.sock) for entry in prepared.wanted.values()}
        for old in self.open.values():
            if id(old.sock) not in kept and old not in prepared.closed_early:
                old.stop()
                old.sock.close()
        before = {id(entry.sock): entry.endpoint for entry in self.open.values()}
        self.open = prepared.wanted
        for entry in self.open.values():
            self.address_map.placed[entry.endpoint.logical] = entry.real
            previous = before.get(id(entry.sock))
            if previous is not None and previous != entry.endpoint:
                if previous.backlog != entry.endpoint.backlog:
                    entry.sock.listen(entry.endpoint.backlog)
                entry.stop()
            if entry.accepting is None:
                await self.accept(entry)
                fresh.append(entry.endpoint)
        return fresh

    async def accept(self, entry: OpenSocket) -> None:
        entry.accepting = await self.acceptors[entry.endpoint.service].accept_on(entry.endpoint, entry.sock.dup())

    def close(self) -> None:
        """Stop accepting everywhere."""
        for entry in self.open.values():
            entry.stop()
            entry.sock.close()
        self.open = {}


def _bound(address: str, port: int) -> socket.socket:
    # Without the protocol argument asyncio does not recognise a TCP socket and leaves Nagle's algorithm on.
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setblocking(False)
        sock.bind((address, port))
    except OSError:
        sock.close()
        raise
    return sock


def _problem(endpoint: Endpoint, place: Place, error: OSError) -> str:
    mapped = "" if (place.address, place.port) == endpoint.logical else f" (mapped to {place.address} port {place.port})"
    service = "" if endpoint.service == "smtp" else f" ({SERVICE_LABELS[endpoint.service]})"
    reason = os.strerror(error.errno) if error.errno else str(error)
    return f"{endpoint.title}: cannot listen on {endpoint.address} port {endpoint.port}{mapped}{service}: {reason}"
