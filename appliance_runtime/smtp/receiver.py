"""Receiving at its edge: who is let in, how many, how long, and how sessions end when the appliance wants it.

Tests at connect, in this order (listenerconfig.md 11): TCP refuse, connections of the listener, of the appliance, of the
client, reject. A connection takes the live snapshot when it begins and keeps it. Nothing is read from a client before the
host access table has decided, which waits for the reverse name; a connection that is over a limit waits for nothing.
Limits of listeners are on the appliance clock; those of the network are real time, multiplied by `net_timeout_scale`.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from attrs import define

from appliance_runtime.clock import Clock
from appliance_runtime.dns.answers import Reverse
from appliance_runtime.logs.writer import EventLog
from appliance_runtime.services import Endpoint
from appliance_runtime.smtp import replies
from appliance_runtime.smtp.access import CompiledListener, Decision, IPAddress, client_ip
from appliance_runtime.smtp.connection import LINGER, Connection, ConnectionContext
from appliance_runtime.smtp.conversation import Conversation
from appliance_runtime.smtp.limits import OpenConnections, RecipientsPerHour
from appliance_runtime.smtp.surroundings import Counting, MessageStore, Peer, ReverseLookup, Services, Surroundings
from appliance_state.certificates.crl import NO_LISTS, RevocationLists
from appliance_state.certificates.pem import NotReadable, load_der
from appliance_state.model import Config
from appliance_state.model.listeners import Behavior, PolicyParameters, ReceivingTls
from appliance_state.table import fold

READ_SIZE = 128 * 1024
ACCEPTS_PER_WAKE = 100
SILENCE_LIMIT = 300.0
"""seconds without an octet from a client (RFC 5321 4.5.3.2.7)"""
SILENCE_CHECKS = 10
"""within SILENCE_LIMIT"""
GONE_LISTENER = 30.0
"""seconds in which sessions of a removed or moved listener end"""
SIGNERS = max(1, (os.cpu_count() or 1) - 1)
"""threads for handshakes"""
OUT_OF_DESCRIPTORS = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
RETRY_ACCEPT = 1.0

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@define(eq=False)
class _Listening:
    """Accepts on one socket, which it owns, until it is closed."""

    receiver: Receiver
    endpoint: Endpoint
    sock: socket.socket
    open: bool = True

    def start(self) -> None:
        if self.open:
            asyncio.get_running_loop().add_reader(self.sock, self._accept)

    def close(self) -> None:
        if self.open:
            self.open = False
            asyncio.get_running_loop().remove_reader(self.sock)
            self.sock.close()

    def _accept(self) -> None:
        for _ in range(ACCEPTS_PER_WAKE):
            try:
                sock, address = self.sock.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno in OUT_OF_DESCRIPTORS:
                    loop = asyncio.get_running_loop()
                    loop.remove_reader(self.sock)
                    loop.call_later(RETRY_ACCEPT, self.start)
                    return
                continue  # the client was gone before it was accepted
            self.receiver.admit(self.endpoint, sock, address[0])


class Receiver:
    """Acceptor of the service `smtp`. What is counted per client lives here, so that it survives commits."""

    def __init__(
        self,
        live: Callable[[], Surroundings],
        queue: MessageStore,
        logs: EventLog,
        clock: Clock,
        counters: Counting,
        resolver: ReverseLookup,
        *,
        revocations: Callable[[Config], RevocationLists] = lambda config: NO_LISTS,
        net_timeout_scale: float = 1.0,
    ) -> None:
        """`revocations`: the lists of revoked certificates that count for clients."""
        self.connections: set[Connection] = set()
        """those whose socket is not closed yet"""
        self.services = Services(
            queue=queue,
            logs=logs,
            clock=clock,
            counters=counters,
            open=OpenConnections(),
            hourly=RecipientsPerHour(began=clock.now()),
        )
        self._live = live
        self._resolver = resolver
        self._revocations = revocations
        self._scale = net_timeout_scale
        self._signers = ThreadPoolExecutor(SIGNERS, "handshake")
        self._buffer = memoryview(bytearray(READ_SIZE))
        self._admissions: dict[asyncio.Task[None], Endpoint] = {}
        """connections whose client is not decided about yet"""
        self._watch: asyncio.Task[None] | None = None
        self._wake_at: datetime | None = None
        self._silence_check: asyncio.TimerHandle | None = None

    async def accept_on(self, endpoint: Endpoint, sock: socket.socket) -> _Listening:
        """Accept on a listening, non-blocking socket until the result is closed."""
        listening = _Listening(self, endpoint, sock)
        listening.start()
        return listening

    # admission

    def admit(self, endpoint: Endpoint, sock: socket.socket, address: str) -> None:
        """Take over a socket that was accepted on `endpoint`."""
        snapshot = self._live()
        listener = snapshot.receiving.get(endpoint.uid)
        if listener is None:
            sock.close()
            return
        sock.setblocking(False)
        # asyncio does so only for sockets that were made with the protocol number.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = asyncio.get_running_loop().create_task(self._admit(endpoint, snapshot, listener, sock, client_ip(address)))
        self._admissions[task] = endpoint
        task.add_done_callback(lambda done: self._admissions.pop(done, None))

    async def _admit(
        self, endpoint: Endpoint, snapshot: Surroundings, listener: CompiledListener, sock: socket.socket, client: IPAddress
    ) -> None:
        opened = self.services.open
        refusal: bytes | None = None
        if opened.by_listener[endpoint.uid] >= listener.listener.max_concurrency:
            refusal = replies.TOO_MANY_ON_LISTENER
        elif opened.total >= listener.globals.max_connections:
            refusal = replies.TOO_MANY_ON_HOST
        counted = _Counted(opened, endpoint.uid, client) if refusal is None else None
        connection: Connection | None = None
        try:
            limit = snapshot.config.dns.ptr_timeout * self._scale if refusal is None else 0.0
            reverse = await self._resolver.ptr(str(client), limit) if limit else Reverse()
            decision = listener.decide(client, reverse.name if reverse.verified else None)
            if decision.behavior is Behavior.TCPREFUSE:
                self.services.logs.event("icid.refused", group=decision.group, entry=decision.entry)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
                return
            if refusal is None and counted is not None and not counted.enter_client(decision.parameters.max_concurrency or 1):
                refusal = replies.TOO_MANY_FROM_CLIENT
            connection = self._connection(endpoint, snapshot, listener, client, reverse, decision, refusal, counted)
            await asyncio.get_running_loop().connect_accepted_socket(lambda: connection, sock)
        finally:
            if connection is None:
                sock.close()
                if counted is not None:
                    counted.leave()

    def _client_problem(self, chain: Sequence[bytes]) -> str | None:
        """Whether a client certificate has been revoked, in the words of outgoing mail."""
        snapshot = self._live()
        lists = self._revocations(snapshot.config)
        if not lists:
            return None
        try:
            certificates = [load_der(certificate) for certificate in chain]
        except NotReadable:
            return "the certificate cannot be read"
        return lists.problem(certificates, self.services.clock.now(), snapshot.anchors)

    def _connection(
        self,
        endpoint: Endpoint,
        snapshot: Surroundings,
        listener: CompiledListener,
        client: IPAddress,
        reverse: Reverse,
        decision: Decision,
        refusal: bytes | None,
        counted: _Counted | None,
    ) -> Connection:
        counters = self.services.counters

        def ended(connection: Connection) -> None:
            counters.gauge("conn_in", -1)
            if counted is not None:
                counted.leave()

        tls = snapshot.inbound_contexts.get(tls_context_name(listener, decision.parameters))
        context = ConnectionContext(
            endpoint=endpoint,
            listener=listener,
            tls=tls,
            began=self.services.clock.now(),
            buffer=self._buffer,
            signers=self._signers,
            network_scale=self._scale,
            on_end=ended,
            client_problem=self._client_problem,
        )
        connection = Connection(context)
        icid = self.services.queue.next_icid()
        peer = Peer(icid=icid, address=client, reverse=reverse, interface_ip=endpoint.address, decision=decision)
        conversation = Conversation(self.services, snapshot.config, listener, peer, connection.changed, tls_available=tls is not None)
        connection.start(conversation, refusal)
        counters.gauge("conn_in", 1)
        self.connections.add(connection)
        connection.closed.add_done_callback(lambda _: self.connections.discard(connection))
        self._watch_clock(connection.deadline)
        self._watch_silence()
        return connection

    # time

    def _watch_clock(self, deadline: datetime | None) -> None:
        """See to it that connections are asked for their deadlines at `deadline`, or earlier."""
        if deadline is None or (self._wake_at is not None and self._wake_at <= deadline):
            return
        if self._watch is not None:
            self._watch.cancel()
        self._wake_at = deadline
        self._watch = asyncio.get_running_loop().create_task(self._wait_for(deadline))

    async def _wait_for(self, deadline: datetime) -> None:
        await self.services.clock.sleep_until(deadline)
        self._watch = self._wake_at = None
        now = self.services.clock.now()
        for connection in list(self.connections):
            connection.check_time(now)
        self._watch_clock(min((c.deadline for c in self.connections if c.deadline is not None), default=None))

    def _watch_silence(self) -> None:
        if self._silence_check is None:
            interval = SILENCE_LIMIT * self._scale / SILENCE_CHECKS
            self._silence_check = asyncio.get_running_loop().call_later(interval, self._check_silence)

    def _check_silence(self) -> None:
        self._silence_check = None
        for connection in list(self.connections):
            connection.check_network(SILENCE_LIMIT * self._scale)
        if self.connections:
            self._watch_silence()

    # endings

    def configuration_changed(self) -> None:
        """Sessions of listeners that were removed, or moved to another socket, finish their message and get 421."""
        receiving = self._live().receiving
        leaving = self._of(lambda endpoint: not _serves(receiving.get(endpoint.uid), endpoint))
        if leaving:
            self._retire(leaving)
            asyncio.get_running_loop().call_later(GONE_LISTENER, self._cut, leaving)

    async def drain(self, seconds: float, listeners: Collection[str] | None = None) -> None:
        """End the sessions of `listeners` (uids; None = all): between messages at once, the others with the reply to their
        message, those left after `seconds` with 421 in the middle. Returns when their sockets are closed."""
        leaving = self._of(lambda endpoint: listeners is None or endpoint.uid in listeners)
        self._retire(leaving)
        await _all_closed(leaving, seconds)
        self._cut(leaving)
        await _all_closed(leaving, LINGER)
        for connection in leaving:
            connection.abort()
        await _all_closed(leaving, LINGER)
        if listeners is None:
            self._stop_watching()
            self._signers.shutdown(wait=False, cancel_futures=True)

    def _of(self, meant: Callable[[Endpoint], bool]) -> list[Connection]:
        """The connections of the endpoints that are meant; those that are not decided about yet are closed."""
        for task, endpoint in self._admissions.items():
            if meant(endpoint):
                task.cancel()
        return [connection for connection in self.connections if meant(connection.endpoint)]

    def _retire(self, connections: Iterable[Connection]) -> None:
        for connection in connections:
            connection.retire()

    def _cut(self, connections: Iterable[Connection]) -> None:
        for connection in connections:
            connection.cut()

    def _stop_watching(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = self._wake_at = None
        if self._silence_check is not None:
            self._silence_check.cancel()
            self._silence_check = None


class _Counted:
    """A connection as it counts; `leave` may be called twice."""

    def __init__(self, opened: OpenConnections, listener: str, client: IPAddress) -> None:
        self._opened = opened
        self._listener = listener
        self._client = client
        self._in = True
        self._client_in = False
        opened.enter(listener)

    def enter_client(self, limit: int) -> bool:
        """False = the client has `limit` connections already."""
        if self._opened.by_client[self._client] >= limit:
            return False
        self._opened.enter_client(self._client)
        self._client_in = True
        return True

    def leave(self) -> None:
        if self._in:
            self._in = False
            self._opened.leave(self._listener)
            if self._client_in:
                self._opened.leave_client(self._client)


def tls_context_name(listener: CompiledListener, parameters: PolicyParameters) -> str:
    """The context of the snapshot that serves a client of these parameters."""
    suffix = ""
    if parameters.tls_verify:
        suffix = "?require" if parameters.tls is ReceivingTls.REQUIRE else "?verify"
    return fold(listener.listener.tls_certificate) + suffix


def _serves(listener: CompiledListener | None, endpoint: Endpoint) -> bool:
    """Whether the listener still has the socket."""
    if listener is None:
        return False
    return endpoint.port == listener.listener.port and endpoint.address in listener.interface.addresses


async def _all_closed(connections: Collection[Connection], seconds: float) -> None:
    waiting = [connection.closed for connection in connections if not connection.closed.done()]
    if waiting:
        await asyncio.wait(waiting, timeout=seconds)
