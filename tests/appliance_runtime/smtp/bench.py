"""A receiver on real loopback sockets: configuration as values, queue in memory, log in memory, clock that stands still."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import socket
import ssl
import struct
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from appliance_runtime.clock import FakeClock, SystemClock, settle
from appliance_runtime.dns.answers import Reverse
from appliance_runtime.logs.messages import INFO, MESSAGES
from appliance_runtime.logs.writer import MemoryLogs
from appliance_runtime.queue.body import Body
from appliance_runtime.queue.envelope import NewMessage, Settle
from appliance_runtime.queue.errors import QueueError
from appliance_runtime.services import Accepting, Endpoint
from appliance_runtime.smtp.access import CompiledListener, compile_listener
from appliance_runtime.smtp.receiver import Receiver
from appliance_runtime.supervisor import Supervisor
from appliance_runtime.tls import Credentials, ServerTls
from appliance_state.certificates.crl import NO_LISTS
from appliance_state.model import Config
from appliance_state.model.interfaces import Interface
from appliance_state.model.listeners import (
    Behavior,
    Listener,
    ListenerType,
    PolicyParameters,
    ReceivingTls,
    Sender,
    SenderGroup,
    new_listener,
)
from appliance_state.table import Table

NOW = datetime(2026, 3, 6, 9, 0, tzinfo=UTC)
METHODS = frozenset(("tlsv1_2", "tlsv1_3"))
HOST = "mail3.example.com"


class MemoryQueue:
    """Takes messages as the queue does. `hold()` keeps answers back until `let_go()`; `error` is the next answer."""

    def __init__(self, spool: Path) -> None:
        self.spool = spool
        self.messages: list[NewMessage] = []
        self.bodies: list[bytes] = []
        self.error: Exception | None = None
        self.waiting: list[Settle] = []
        self.holding = False
        self.made: list[Body] = []
        self._mids = itertools.count(1)
        self._icids = itertools.count(1)

    def next_mid(self) -> int:
        return next(self._mids)

    def next_icid(self) -> int:
        return next(self._icids)

    def new_body(self) -> Body:
        body = Body(self.spool)
        self.made.append(body)
        return body

    def submit(self, message: NewMessage, settled: Settle) -> None:
        tell = functools.partial(asyncio.get_running_loop().call_soon, settled)
        if self.error is not None:
            tell(self.error)
            return
        self.messages.append(message)
        if message.body.error is not None:
            tell(QueueError(str(message.body.error)))
            return
        self.bodies.append(message.body.octets() if message.body.spool is None else message.body.spool.read_bytes())
        message.body.sync()
        if self.holding:
            self.waiting.append(settled)
        else:
            tell(None)

    def hold(self) -> None:
        self.holding = True

    def let_go(self) -> None:
        self.holding = False
        waiting, self.waiting = self.waiting, []
        for settled in waiting:
            settled(None)


class LevelledLogs(MemoryLogs):
    """A log of level Information, or of another one."""

    level = INFO

    def wants(self, name: str) -> bool:
        return MESSAGES[name].level <= self.level

    def event(self, name: str, **fields: object) -> None:
        if self.wants(name):
            super().event(name, **fields)


class CountingBoard:
    """Counters and gauges as plain numbers."""

    def __init__(self) -> None:
        self.values: dict[str, int] = {}
        self.gauges: dict[str, int] = {}

    def add(self, name: str, count: int = 1) -> None:
        self.values[name] = self.values.get(name, 0) + count

    def gauge(self, name: str, delta: int) -> None:
        self.gauges[name] = self.gauges.get(name, 0) + delta


class ReverseNames:
    """Reverse names by address; `wait`: look-ups that end only when it is set."""

    def __init__(self) -> None:
        self.names: dict[str, Reverse] = {}
        self.wait: asyncio.Event | None = None
        self.asked: list[str] = []

    async def ptr(self, address: str, limit: float) -> Reverse:
        self.asked.append(address)
        if self.wait is not None:
            await self.wait.wait()
        return self.names.get(address, Reverse())


@attrs.frozen(kw_only=True)
class Running:
    """The part of a snapshot that receiving uses."""

    config: Config
    receiving: Mapping[str, CompiledListener]
    inbound_contexts: Mapping[str, ssl.SSLContext]
    anchors: tuple[bytes, ...] = ()


@functools.cache
def certificate(name: str, issuer: str | None = None) -> Credentials:
    """A P-256 certificate; `issuer`: common name of the authority that signed it, None = self-signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    signer = serialization.load_pem_private_key(certificate(issuer).private_key, None) if issuer else key
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer or name)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=10))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .sign(signer, hashes.SHA256())  # type: ignore[arg-type]
    )
    return Credentials(
        certificate=made.public_bytes(serialization.Encoding.PEM).decode(),
        private_key=key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )


@functools.cache
def made_from() -> dict[str, ServerTls]:
    """Of the contexts of the profile `Demo`; client certificates are trusted when `Lab CA` signed them."""
    anchors = (ssl.PEM_cert_to_DER_cert(certificate("Lab CA").certificate),)
    kinds = {"": ssl.CERT_NONE, "?verify": ssl.CERT_OPTIONAL, "?require": ssl.CERT_REQUIRED}
    return {
        f"demo{suffix}": ServerTls(
            credentials=certificate(HOST), methods=METHODS, ciphers="HIGH", renegotiation=False, verify=mode, anchors=anchors
        )
        for suffix, mode in kinds.items()
    }


@functools.cache
def contexts() -> dict[str, ssl.SSLContext]:
    return {name: made.context() for name, made in made_from().items()}


def client_context(credentials: Credentials | None = None, directory: Path | None = None) -> ssl.SSLContext:
    """A client that trusts everything, with a certificate of its own or without."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if credentials is not None and directory is not None:
        file = directory / "client.pem"
        file.write_bytes(credentials.certificate.encode() + credentials.private_key)
        context.load_cert_chain(file)
    return context


def public_listener(*, accept: tuple[str, ...] = ("example.com",), **changes: Any) -> Listener:
    """The public listener `InboundMail` (uid `in`) for example.com; policy parameters go to `hat_default`."""
    return _listener(ListenerType.PUBLIC, "InboundMail", "in", changes, accept=accept)


def private_listener(*, relay: tuple[str, ...] = ("127.0.0.0/8",), **changes: Any) -> Listener:
    return _listener(ListenerType.PRIVATE, "OutboundMail", "out", changes, relay=relay)


def blackhole_listener(**changes: Any) -> Listener:
    return _listener(ListenerType.BLACKHOLE, "BlackHole", "hole", changes)


def _listener(kind: ListenerType, name: str, uid: str, changes: dict[str, Any], **tables: tuple[str, ...]) -> Listener:
    listener = new_listener(name=name, uid=uid, kind=kind, interface="PublicNet", **tables)
    parameters = {key: changes.pop(key) for key in list(changes) if key in attrs.fields_dict(PolicyParameters) and key != "max_concurrency"}
    if "tls" in parameters:
        parameters["tls"] = ReceivingTls(parameters["tls"])
    if (per_client := changes.pop("client_concurrency", None)) is not None:
        parameters["max_concurrency"] = per_client
    return attrs.evolve(listener, hat_default=attrs.evolve(listener.hat_default, **parameters), **changes)


def group(name: str, *sources: str, behavior: Behavior = Behavior.ACCEPT, **parameters: Any) -> SenderGroup:
    if "tls" in parameters:
        parameters["tls"] = ReceivingTls(parameters["tls"])
    return SenderGroup(
        name=name,
        senders=tuple(Sender(source=source) for source in sources),
        behavior=behavior,
        parameters=PolicyParameters(**parameters),
    )


EVERYONE = group("", "ALL")


def make_config(*listeners: Listener, **sections: Any) -> Config:
    interface = Interface(name="PublicNet", uid="interface-2", ipv4="192.168.2.1", hostname=HOST)
    return Config(listeners=Table(listeners)).with_(interfaces=Table((interface,)), **sections)


def make_running(config: Config) -> Running:
    return Running(
        config=config,
        receiving={listener.uid: compile_listener(config, listener) for listener in config.listeners.entries()},
        inbound_contexts=contexts(),
    )


class Bench:
    """A running receiver with everything around it."""

    def __init__(self, spool: Path, workers: int = 0) -> None:
        """`workers`: processes that receive, which know the real time only."""
        self.clock = FakeClock(NOW)
        self.logs = LevelledLogs(self.clock)
        self.queue = MemoryQueue(spool)
        self.counters = CountingBoard()
        self.names = ReverseNames()
        self.running: Running = make_running(make_config())
        self.revocations = NO_LISTS
        self.faults: list[str] = []
        self.supervisor = Supervisor(lambda service, error: self.faults.append(f"{service}: {error}"))
        self.receiver = Receiver(
            lambda: self.running,
            self.queue,
            self.logs,
            SystemClock() if workers else self.clock,
            self.counters,
            self.names,
            revocations=lambda config: self.revocations if config.crl.check_inbound else NO_LISTS,
            workers=workers,
            report=self.supervisor.report,
            net_timeout_scale=1.0,
        )
        self.workers = self.receiver.workers
        self.clients: list[Client] = []
        self.ports: dict[str, int] = {}
        self.accepting: dict[str, Accepting] = {}

    async def start(self, *listeners: Listener, **sections: Any) -> int:
        """Listen for these listeners; the real port of the first one."""
        self.configure(*listeners, **sections)
        await self.start_workers()
        for listener in listeners:
            if listener.uid not in self.ports:
                sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
                sock.setblocking(False)
                sock.bind(("127.0.0.1", 0))
                sock.listen(128)
                self.ports[listener.uid] = sock.getsockname()[1]
                endpoint = Endpoint("smtp", listener.name, listener.uid, "192.168.2.1", listener.port)
                self.accepting[listener.uid] = await self.receiver.accept_on(endpoint, sock)
        return self.ports[listeners[0].uid]

    async def start_workers(self) -> None:
        """Have the workers at work."""
        if self.workers.count and not self.workers.running:
            await self.workers.start(self.supervisor)

    async def workers_ready(self) -> None:
        """Every worker is there and has the live settings."""
        async with asyncio.timeout(20):
            while len(self.workers.running) < self.workers.count or not all(map(self.workers.is_ready, self.workers.running)):
                await asyncio.sleep(0.005)

    def configure(self, *listeners: Listener, **sections: Any) -> None:
        """Commit: another configuration is live."""
        self.running = make_running(make_config(*listeners, **sections))
        self.share(made_from())

    def share(self, made_from: Mapping[str, ServerTls]) -> None:
        """Tell the workers what is live."""
        self.workers.use(self.running, {name: tls for name, tls in made_from.items() if "?" not in name})

    async def client(self, uid: str = "in", *, source: str = "127.0.0.1") -> Client:
        """A client that has read its banner."""
        client = await self.connect(uid, source=source)
        client.banner = await client.reply()
        return client

    async def connect(self, uid: str = "in", *, source: str = "127.0.0.1") -> Client:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.ports[uid], local_addr=(source, 0))
        self.clients.append(client := Client(reader, writer))
        return client

    async def lines(self, last: str) -> list[str]:
        """All lines of the log, once one of them ends with `last`."""
        async with asyncio.timeout(5):
            while not any(line.endswith(last) for line in self.logs.lines):
                await asyncio.sleep(0.002)
        return self.logs.lines

    async def ended(self) -> list[str]:
        """All lines of the log, once no connection is open."""
        async with asyncio.timeout(5):
            while self.receiver.connections:
                await asyncio.sleep(0.002)
        return self.logs.lines

    async def close(self) -> None:
        for accepting in self.accepting.values():
            accepting.close()
        self.queue.let_go()
        for client in self.clients:
            await client.close()
        await self.receiver.drain(0.05)
        await self.workers.stop()
        await settle()


class Client:
    """A client that speaks line by line, or octet by octet."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.banner = ""

    async def reply(self) -> str:
        """The next reply, its lines joined by LF; empty = the connection has ended."""
        lines = []
        async with asyncio.timeout(5):
            while line := (await self.reader.readline()).decode():
                assert line.endswith("\r\n")
                lines.append(line[:-2])
                if line[3] == " ":
                    break
        return "\n".join(lines)

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def command(self, line: str) -> str:
        self.send(f"{line}\r\n".encode())
        return await self.reply()

    async def commands(self, *lines: str) -> list[str]:
        return [await self.command(line) for line in lines]

    async def deliver(
        self, data: bytes = b"Subject: hello\r\n\r\nbody\r\n", sender: str = "a@sender.test", recipient: str = "joe@example.com"
    ) -> str:
        """One message; the reply to it, or to the command that was refused."""
        for line, good in ((f"MAIL FROM:<{sender}>", "250"), (f"RCPT TO:<{recipient}>", "250"), ("DATA", "354")):
            reply = await self.command(line)
            if not reply.startswith(good):
                return reply
        self.send(data + b".\r\n")
        return await self.reply()

    async def start_tls(self, context: ssl.SSLContext | None = None) -> None:
        assert await self.command("STARTTLS") == "220 Go ahead with TLS"
        await self.writer.start_tls(context or client_context())

    async def ended(self) -> bool:
        """Whether the server ends the connection without another octet."""
        async with asyncio.timeout(5):
            return await self.reader.read(1) == b""

    async def quit(self) -> None:
        await self.command("QUIT")
        await self.close()

    def reset(self) -> None:
        """Vanish without a trace but a TCP reset."""
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await self.writer.wait_closed()
