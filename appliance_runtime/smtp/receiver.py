"""Receiving at its edge: who is let in, how many, how long, and how sessions end when the appliance wants it.

Tests at connect, in this order (listenerconfig.md 11): TCP refuse, connections of the listener, of the appliance, of the
client, reject. A connection takes the live snapshot when it begins and keeps it. Nothing is read from a client before the
host access table has decided, which waits for the reverse name; a connection that is over a limit waits for nothing.
Sessions are served here, or by a worker where there is one that can.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from typing import NamedTuple

from attrs import define

from appliance_runtime.clock import Clock
from appliance_runtime.dns.answers import Reverse
from appliance_runtime.logs.writer import LineLog
from appliance_runtime.services import Endpoint
from appliance_runtime.smtp import replies
from appliance_runtime.smtp.access import CompiledListener, IPAddress, client_ip
from appliance_runtime.smtp.connection import LINGER, Connection
from appliance_runtime.smtp.intake import QueueIntake
from appliance_runtime.smtp.limits import Limits, OpenConnections, RecipientsPerHour
from appliance_runtime.smtp.sessions import Sessions
from appliance_runtime.smtp.surroundings import Gauging, MessageStore, Peer, ReverseLookup, Services, Surroundings
from appliance_runtime.smtp.workers.pool import ReceivingWorkers
from appliance_runtime.smtp.workers.running import HandedOver
from appliance_runtime.supervisor import FaultReport
from appliance_state.certificates.crl import NO_LISTS, RevocationLists
from appliance_state.certificates.pem import NotReadable, load_der
from appliance_state.model import Config
from appliance_state.model.listeners import Behavior, PolicyParameters, ReceivingTls
from appliance_state.table import fold

ACCEPTS_PER_WAKE = 100
GONE_LISTENER = 30.0
"""seconds in which sessions of a removed or moved listener end"""
OUT_OF_DESCRIPTORS = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
RETRY_ACCEPT = 1.0

_NO_NAME = Reverse()
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
        logs: LineLog,
        clock: Clock,
        counters: Gauging,
        resolver: ReverseLookup,
        *,
        revocations: Callable[[Config], RevocationLists] = lambda config: NO_LISTS,
        workers: int = 0,
        report: FaultReport = lambda service, error: None,
        net_timeout_scale: float = 1.0,
    ) -> None:
        """`revocations`: the lists of revoked certificates that count for clients; `workers`: processes that receive; `report`: their faults."""
        self._handed_over: set[HandedOver] = set()
        self.opened = OpenConnections()
        limits = Limits(self.opened, RecipientsPerHour(began=clock.now()), clock)
        intake = QueueIntake(queue, logs, counters)
        self.services = Services(queue=intake, logs=logs, clock=clock, counters=counters, limits=limits)
        self.workers = ReceivingWorkers(workers, intake, logs, counters, limits, report, net_timeout_scale)
        self._queue = queue
        self._counters = counters
        self._live = live
        self._resolver = resolver
        self._revocations = revocations
        self._scale = net_timeout_scale
        self._sessions = Sessions(self.services, net_timeout_scale)
        self._admissions: dict[asyncio.Task[None], Endpoint] = {}
        """connections whose client is not decided about yet"""

    @property
    def connections(self) -> Sequence[Connection | HandedOver]:
        """Those whose socket is not closed yet."""
        return [*self._sessions.open, *self._handed_over]

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
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened = self.opened
        refusal: bytes | None = None
        if opened.by_listener[endpoint.uid] >= listener.listener.max_concurrency:
            refusal = replies.TOO_MANY_ON_LISTENER
        elif opened.total >= listener.globals.max_connections:
            refusal = replies.TOO_MANY_ON_HOST
        counted = _Counted(opened, endpoint.uid) if refusal is None else None
        arrival = _Arrival(endpoint, snapshot, listener, sock, client_ip(address), refusal, counted)
        limit = snapshot.config.dns.ptr_timeout * self._scale
        if refusal is not None or not limit:
            self._decide(arrival, _NO_NAME)
            return
        task = asyncio.get_running_loop().create_task(self._look_up(arrival, limit))
        self._admissions[task] = endpoint
        task.add_done_callback(partial(self._admitted, arrival))

    def _admitted(self, arrival: _Arrival, admission: asyncio.Task[None]) -> None:
        self._admissions.pop(admission, None)
        # It may have ended before it began, so this cannot be its own business.
        error = None if admission.cancelled() else admission.exception()
        if admission.cancelled() or error is not None:
            arrival.drop()
        if error is not None:
            raise error

    async def _look_up(self, arrival: _Arrival, limit: float) -> None:
        self._decide(arrival, await self._resolver.ptr(str(arrival.client), limit))

    def _decide(self, arrival: _Arrival, reverse: Reverse) -> None:
        """What the host access table says, and the session that follows from it."""
        endpoint, snapshot, listener, sock, client, refusal, counted = arrival
        taken = False
        try:
            decision = listener.decide(client, reverse.name if reverse.verified else None)
            if decision.behavior is Behavior.TCPREFUSE:
                self.services.logs.event("icid.refused", group=decision.group, entry=decision.entry)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
                return
            icid = self._queue.next_icid()
            peer = Peer(icid=icid, address=client, reverse=reverse, interface_ip=endpoint.address, decision=decision)
            if counted is not None and not counted.enter_client(peer.ip, decision.parameters.max_concurrency or 1):
                refusal = replies.TOO_MANY_FROM_CLIENT
            if refusal is None:
                handed_over = self.workers.hand_over(snapshot, endpoint, peer, sock, on_end=lambda: self._leave(counted))
                if handed_over is not None:
                    taken = True
                    sock.close()
                    self._counters.gauge("conn_in", 1)
                    self._handed_over.add(handed_over)
                    handed_over.closed.add_done_callback(lambda _: self._handed_over.discard(handed_over))
                    return
            connection = self._connection(endpoint, snapshot, listener, peer, refusal, counted)
            taken = True
            self._counters.gauge("conn_in", 1)
            self._sessions.attach(connection, sock)
        finally:
            if not taken:
                arrival.drop()

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
        peer: Peer,
        refusal: bytes | None,
        counted: _Counted | None,
    ) -> Connection:
        return self._sessions.begin(
            snapshot.config,
            listener,
            endpoint,
            peer,
            snapshot.inbound_contexts.get(tls_context_name(listener, peer.decision.parameters)),
            refusal=refusal,
            on_end=lambda _: self._leave(counted),
            client_problem=self._client_problem,
        )

    def _leave(self, counted: _Counted | None) -> None:
        self._counters.gauge("conn_in", -1)
        if counted is not None:
            counted.leave()

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
            self._sessions.stop()

    def _of(self, meant: Callable[[Endpoint], bool]) -> list[Connection | HandedOver]:
        """The connections of the endpoints that are meant; those that are not decided about yet are closed."""
        for task, endpoint in self._admissions.items():
            if meant(endpoint):
                task.cancel()
        return [connection for connection in self.connections if meant(connection.endpoint)]

    def _retire(self, connections: Iterable[Connection | HandedOver]) -> None:
        for connection in connections:
            connection.retire()

    def _cut(self, connections: Iterable[Connection | HandedOver]) -> None:
        for connection in connections:
            connection.cut()


class _Counted:
    """A connection as it counts; `leave` may be called twice."""

    def __init__(self, opened: OpenConnections, listener: str) -> None:
        self._opened = opened
        self._listener = listener
        self._client: str | None = None
        self._in = True
        opened.enter(listener)

    def enter_client(self, client: str, limit: int) -> bool:
        """False = the client has `limit` connections already."""
        if self._opened.by_client[client] >= limit:
            return False
        self._opened.enter_client(client)
        self._client = client
        return True

    def leave(self) -> None:
        if self._in:
            self._in = False
            self._opened.leave(self._listener)
            if self._client is not None:
                self._opened.leave_client(self._client)


class _Arrival(NamedTuple):
    """A connection that was accepted, until it is decided what becomes of it. `refusal`: the reply of a limit; `counted`: else."""

    endpoint: Endpoint
    snapshot: Surroundings
    listener: CompiledListener
    sock: socket.socket
    client: IPAddress
    refusal: bytes | None
    counted: _Counted | None

    def drop(self) -> None:
        """Nothing becomes of it."""
        self.sock.close()
        if self.counted is not None:
            self.counted.leave()


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


async def _all_closed(connections: Collection[Connection | HandedOver], seconds: float) -> None:
    waiting = [connection.closed for connection in connections if not connection.closed.done()]
    if waiting:
        await asyncio.wait(waiting, timeout=seconds)
