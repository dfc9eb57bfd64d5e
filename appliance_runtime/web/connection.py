"""HTTP/1.1 on one connection: uvicorn's protocol with time limits, and the engine that all connections share.

Limits: a request, from its first octet (the first one of a connection from the handshake on) to the last octet of its
response, has REQUEST_SECONDS and what the appliance itself may need; then the connection is cut off, so that slow clients
hold nothing. Between two requests a connection may rest KEEP_ALIVE_SECONDS. Request line and headers: HEADER_OCTETS.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import h11
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from appliance_runtime.logs.writer import Logs
from appliance_runtime.web.app import Website

if TYPE_CHECKING:
    from appliance_runtime.web.service import Entrance, WebService

REQUEST_SECONDS = 60.0
KEEP_ALIVE_SECONDS = 15.0
OWN_SECONDS = 5.0
"""what an answer may take here, at worst"""
HEADER_OCTETS = 16 * 1024


class Faults(logging.Handler):
    """Puts failures of page code into the system log; what clients do wrong is no failure of ours and left out."""

    def __init__(self, logs: Logs) -> None:
        super().__init__(logging.ERROR)
        self._logs = logs

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        self._logs.event("system.fault", service="web", error=repr(error) if error else record.getMessage())


class Engine:
    """The pages and the state that all connections share."""

    def __init__(self, service: WebService) -> None:
        self.website = Website(service)
        self.request_seconds = REQUEST_SECONDS * service.timeout_scale + OWN_SECONDS + service.login_delay
        self.state = ServerState()
        self.logger = logging.Logger("web", logging.ERROR)
        self.logger.addHandler(Faults(service.appliance.logs))
        self.config = Config(
            self.website,
            http=Connection,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=max(1, round(KEEP_ALIVE_SECONDS * service.timeout_scale)),
            h11_max_incomplete_event_size=HEADER_OCTETS,
        )
        self.config.load()

    def connection(self, entrance: Entrance, on_lost: Callable[[], None]) -> Connection:
        return Connection(self, entrance, on_lost)

    async def stop(self, seconds: float) -> None:
        """Let requests in progress finish for at most `seconds`, close the connections, end the sessions."""
        for connection in list(self.state.connections):
            if not connection.transport.is_closing():
                connection.shutdown()
        if self.state.tasks:
            await asyncio.wait(list(self.state.tasks), timeout=seconds)
        self.website.sessions.end_all()


class Connection(H11Protocol):
    """One connection. With TLS, data may come before `connection_made`: it is kept until then."""

    def __init__(self, engine: Engine, entrance: Entrance, on_lost: Callable[[], None]) -> None:
        super().__init__(config=engine.config, server_state=engine.state, app_state={"entrance": entrance})
        self.logger = engine.logger
        self._limit = engine.request_seconds
        self._on_lost = on_lost
        self._early = b""
        self._lost = False
        self._request_open = False
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        if self._lost:  # the peer left between the handshake and this call
            return
        super().connection_made(transport)
        self._begin_request()
        if self._early:
            data, self._early = self._early, b""
            self.data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        if self._deadline:
            self._deadline.cancel()
        if self.transport is not None:
            super().connection_lost(exc)
            self._unset_keepalive_if_required()
        self._on_lost()

    def data_received(self, data: bytes) -> None:
        if self.transport is None:
            self._early += data
            return
        if not self._request_open:
            self._begin_request()
        try:
            super().data_received(data)
        except h11.LocalProtocolError:  # a broken request behind one whose answer is under way
            self.transport.abort()

    def on_response_complete(self) -> None:
        self._request_open = False
        super().on_response_complete()  # may begin with a request that is waiting
        if self.cycle is not None and not self.cycle.response_complete:
            self._begin_request()
        elif self._deadline and self.transport.get_write_buffer_size() == 0:
            self._deadline.cancel()

    def _begin_request(self) -> None:
        self._request_open = True
        if self._deadline:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(self._limit, self.transport.abort)
