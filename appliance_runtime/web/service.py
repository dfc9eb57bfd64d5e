"""Management web service on the HTTP and HTTPS sockets of the IP interfaces (interfaceconfig.md 4, web-ui.md 1).

`WebService` accepts connections on sockets that others bound. The web framework is loaded in a worker thread when the
first connection comes in, so that neither the start of the appliance nor an appliance without browsers pays for it.

Certificate, TLS versions and ciphers of a connection are those of the live snapshot at the moment it is accepted, for
the profile of the interface that owns the socket. A renamed interface or a replaced profile needs no new socket.
SNI is ignored. A failed handshake is one line of gui_logs.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Coroutine
from typing import TYPE_CHECKING, cast

from attrs import define, field, frozen

from appliance_runtime.services import Endpoint
from appliance_runtime.tls import tls_error_text
from appliance_runtime.web.hosts import host_and_port
from appliance_state.model.interfaces import Interface
from appliance_state.table import fold

if TYPE_CHECKING:
    from appliance_runtime.appliance import Appliance
    from appliance_runtime.web.connection import Engine

MAX_CONNECTIONS = 100
"""open connections of all sockets together; more are closed at once"""
HANDSHAKE_SECONDS = 30.0
TLS_CLOSE_SECONDS = 5.0
DRAIN_SECONDS = 5.0


@frozen(kw_only=True)
class Entrance:
    """Through which socket a request came in. `port`: the real one, which a port mapping makes differ from the endpoint's."""

    endpoint: Endpoint
    port: int
    profile: str = ""
    """name of the certificate profile that was served; empty in clear"""


@define(eq=False)
class WebService:
    """Acceptor of the services `http` and `https`.

    `login_delay`: seconds that a failed login takes at least, real time. `timeout_scale`: factor for the time limits of
    the network.
    """

    appliance: Appliance
    login_delay: float = 1.0
    timeout_scale: float = 1.0
    connections: set[asyncio.Transport] = field(factory=set, init=False)
    entrances: set[Entrance] = field(factory=set, init=False)
    """the open sockets"""
    _tasks: set[asyncio.Task[None]] = field(factory=set, init=False)
    _engine: asyncio.Task[Engine] | None = field(default=None, init=False)

    async def accept_on(self, endpoint: Endpoint, sock: socket.socket) -> WebSocket:
        """Accept on a bound, listening, non-blocking socket until `close()`."""
        entrance = Entrance(endpoint=endpoint, port=sock.getsockname()[1])
        server = await asyncio.get_running_loop().create_server(lambda: Arrival(self, entrance), sock=sock)
        self.entrances.add(entrance)
        return WebSocket(self, entrance, server)

    async def engine(self) -> Engine:
        """The HTTP engine with the pages, loaded once."""
        if self._engine is None:
            self._engine = asyncio.create_task(asyncio.to_thread(_load, self))
        return await asyncio.shield(self._engine)

    def owner(self, endpoint: Endpoint) -> Interface | None:
        """The interface that owns a socket, by its uid, so that a new name does not matter."""
        interfaces = self.appliance.live().config.interfaces.entries()
        return next((interface for interface in interfaces if interface.uid == endpoint.uid), None)

    def secure_port(self, entrance: Entrance) -> int | None:
        """The real port of the HTTPS socket beside the clear socket `entrance`."""
        here = (entrance.endpoint.uid, entrance.endpoint.address)
        return next(
            (e.port for e in self.entrances if e.endpoint.service == "https" and (e.endpoint.uid, e.endpoint.address) == here), None
        )

    def run(self, work: Coroutine[None, None, None]) -> None:
        """Run `work` as a task of this service."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Let requests in progress finish for a moment, then end all connections and sessions. Sockets are closed before."""
        if self._engine is not None:
            await (await self.engine()).stop(DRAIN_SECONDS * self.timeout_scale)
        for transport in list(self.connections):
            transport.abort()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks))


@frozen(eq=False)
class WebSocket:
    """One accepting socket."""

    service: WebService
    entrance: Entrance
    server: asyncio.Server

    def close(self) -> None:
        """Accept no more. Open connections go on."""
        self.service.entrances.discard(self.entrance)
        self.server.close()


class Arrival(asyncio.Protocol):
    """A connection until HTTP takes over: waits for the engine and, on HTTPS, for the handshake. Reads nothing itself."""

    def __init__(self, service: WebService, entrance: Entrance) -> None:
        self._service = service
        self._entrance = entrance

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        arrived = cast(asyncio.Transport, transport)
        if len(self._service.connections) >= MAX_CONNECTIONS:
            arrived.abort()
            return
        arrived.pause_reading()
        self._service.connections.add(arrived)
        self._service.run(self._hand_over(arrived))

    async def _hand_over(self, transport: asyncio.Transport) -> None:
        service, entrance = self._service, self._entrance
        try:
            if entrance.endpoint.service == "https":
                await self._secure(transport)
            else:
                connection = (await service.engine()).connection(entrance, lambda: service.connections.discard(transport))
                transport.set_protocol(connection)
                connection.connection_made(transport)
                transport.resume_reading()
        except BaseException:
            transport.abort()
            raise
        finally:
            if transport.is_closing():
                service.connections.discard(transport)

    async def _secure(self, transport: asyncio.Transport) -> None:
        service = self._service
        snapshot = service.appliance.live()
        owner = service.owner(self._entrance.endpoint)
        context = None if owner is None else snapshot.gui_contexts.get(fold(owner.https_certificate))
        if owner is None or context is None:
            transport.abort()  # the interface went away with a commit while this connection came in
            return
        entrance = Entrance(endpoint=self._entrance.endpoint, port=self._entrance.port, profile=owner.https_certificate)
        connection = (await service.engine()).connection(entrance, lambda: service.connections.discard(transport))
        remote = transport.get_extra_info("peername")
        try:
            secured = await asyncio.get_running_loop().start_tls(
                transport,
                connection,
                context,
                server_side=True,
                ssl_handshake_timeout=HANDSHAKE_SECONDS * service.timeout_scale,
                ssl_shutdown_timeout=TLS_CLOSE_SECONDS * service.timeout_scale,
            )
        except OSError as exc:
            name = host_and_port(remote[0], remote[1]) if remote else "-"
            service.appliance.logs.event("gui.ssl_error", remote=name, number=exc.errno or 0, error=_handshake_error(exc))
            transport.abort()
            return
        if secured is not None:  # None: cut off by stop() during the handshake
            connection.connection_made(secured)


def _handshake_error(error: OSError) -> str:
    """Why a handshake failed. What asyncio says itself, not the peer or the system, has no number."""
    if error.errno is None:
        if isinstance(error, ConnectionAbortedError):
            return "timeout"
        if isinstance(error, ConnectionResetError):
            return "EOF"
    return tls_error_text(error)


def _load(service: WebService) -> Engine:
    from appliance_runtime.web.connection import Engine  # late, see the head of this file

    return Engine(service)
