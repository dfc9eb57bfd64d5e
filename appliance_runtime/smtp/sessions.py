"""The SMTP sessions that one process serves, and when they are asked for their limits of time.

One task waits for the appliance clock, one timer looks for silence on the network. Limits of listeners are on the appliance
clock; those of the network are real time, multiplied by `network_scale`.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial

from appliance_runtime.services import Endpoint
from appliance_runtime.smtp.access import CompiledListener
from appliance_runtime.smtp.connection import Connection, ConnectionContext
from appliance_runtime.smtp.conversation import Conversation
from appliance_runtime.smtp.surroundings import Peer, Services
from appliance_runtime.streams import Streams
from appliance_state.model import Config

SILENCE_LIMIT = 300.0
"""seconds without an octet from a client (RFC 5321 4.5.3.2.7)"""
SILENCE_CHECKS = 10
"""within SILENCE_LIMIT"""
SIGNERS = max(1, (os.cpu_count() or 1) - 1)
"""threads for handshakes"""


class Sessions:
    """`open`: those whose socket is not closed yet."""

    def __init__(self, services: Services, network_scale: float) -> None:
        self.open: set[Connection] = set()
        self._services = services
        self._scale = network_scale
        self._streams = Streams.running()
        self._signers = ThreadPoolExecutor(SIGNERS, "handshake")
        self._clock_watch: asyncio.Task[None] | None = None
        self._wake_at: datetime | None = None
        self._silence_check: asyncio.TimerHandle | None = None

    def begin(
        self,
        config: Config,
        listener: CompiledListener,
        endpoint: Endpoint,
        peer: Peer,
        tls: ssl.SSLContext | None,
        *,
        refusal: bytes | None = None,
        on_end: Callable[[Connection], None],
        on_closed: Callable[[Connection], None] | None = None,
        client_problem: Callable[[Sequence[bytes]], str | None] = lambda chain: None,
    ) -> Connection:
        """A session that waits for `attach`. `tls`: what serves STARTTLS; the others: see `ConnectionContext`, `Connection.start`."""
        context = ConnectionContext(
            endpoint=endpoint,
            listener=listener,
            tls=tls,
            began=self._services.clock.now(),
            signers=self._signers,
            network_scale=self._scale,
            on_end=on_end,
            on_closed=self.open.discard if on_closed is None else partial(self._closed, on_closed),
            client_problem=client_problem,
        )
        connection = Connection(context)
        conversation = Conversation(self._services, config, listener, peer, connection.changed, tls_available=tls is not None)
        connection.start(conversation, refusal)
        self.open.add(connection)
        self._watch_clock(connection.deadline)
        self._watch_silence()
        return connection

    def _closed(self, on_closed: Callable[[Connection], None], connection: Connection) -> None:
        self.open.discard(connection)
        on_closed(connection)

    def attach(self, connection: Connection, sock: socket.socket) -> None:
        """The session begins, on a socket that is non-blocking."""
        self._streams.open(sock, connection)

    def stop(self) -> None:
        """All sessions have ended."""
        if self._clock_watch is not None:
            self._clock_watch.cancel()
            self._clock_watch = self._wake_at = None
        if self._silence_check is not None:
            self._silence_check.cancel()
            self._silence_check = None
        self._signers.shutdown(wait=False, cancel_futures=True)

    def _watch_clock(self, deadline: datetime | None) -> None:
        """See to it that connections are asked for their deadlines at `deadline`, or earlier."""
        if deadline is None or (self._wake_at is not None and self._wake_at <= deadline):
            return
        if self._clock_watch is not None:
            self._clock_watch.cancel()
        self._wake_at = deadline
        self._clock_watch = asyncio.get_running_loop().create_task(self._wait_for(deadline))

    async def _wait_for(self, deadline: datetime) -> None:
        clock = self._services.clock
        await clock.sleep_until(deadline)
        self._clock_watch = self._wake_at = None
        now = clock.now()
        for connection in list(self.open):
            connection.check_time(now)
        self._watch_clock(min((c.deadline for c in self.open if c.deadline is not None), default=None))

    def _watch_silence(self) -> None:
        if self._silence_check is None:
            interval = SILENCE_LIMIT * self._scale / SILENCE_CHECKS
            self._silence_check = asyncio.get_running_loop().call_later(interval, self._check_silence)

    def _check_silence(self) -> None:
        self._silence_check = None
        for connection in list(self.open):
            connection.check_network(SILENCE_LIMIT * self._scale)
        if self.open:
            self._watch_silence()
