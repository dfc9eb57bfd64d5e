"""Scripted mail servers: one real SMTP server each, with a behaviour that may change at run time (labs-and-ci.md 7).

Everything not named by the behaviour is a correct ESMTP server. A peer records what arrives, octet by octet as it was on
the wire (`Visit.raw`), line by line with the protection each line had, and message by message.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import tempfile
from collections.abc import Sequence
from typing import Any

from attrs import define, field, frozen

from asyncos_shell.lab.authority import Identity

STARTTLS_REPLIES = {
    "starttls-454": "454 4.7.0 TLS not available",
    "starttls-554": "554 5.7.3 TLS refused",
    "starttls-421": "421 4.3.2 shutting down",
}
RCPT_REPLIES = {"tempfail-451": "451 4.3.0 try again later", "reject-550": "550 5.1.1 no such user"}
WITHOUT_STARTTLS = ("no-starttls", "bad-order")
BEHAVIOURS = (
    "starttls-ok", "no-esmtp", *WITHOUT_STARTTLS, *STARTTLS_REPLIES, "starttls-close", "220-then-close", "220-then-garbage",
    "220-then-inject", "handshake-hang", "handshake-fail", "ehlo-fails-after-tls", *RCPT_REPLIES, "data-554", "greylist",
    "close-after-dot", "banner-554", "slow", "tarpit", "long-chain", "endless-reply",
)  # fmt: skip
"""Behaviours on the wire; certificates and the wish for a client certificate are parameters."""

_READ = 65536


class _Gone(Exception):
    """The session ends without another word."""


@define(eq=False)
class Visit:
    """One connection to a peer."""

    number: int
    raw: bytearray = field(factory=bytearray)
    """octets that arrived, as they were on the wire"""
    lines: list[tuple[str, bool]] = field(factory=list)
    """command lines, and whether they came in TLS"""
    version: str | None = None
    sni: str | None = None
    client_certificate: bytes | None = None
    messages: int = 0

    @property
    def commands(self) -> list[str]:
        """First words, in capitals."""
        return [line.split(" ")[0].upper() for line, _ in self.lines]


@frozen(kw_only=True)
class Received:
    """A message that a peer has taken. `octets` without dot-stuffing and final dot; `tls`: protocol version or None."""

    sender: str
    recipients: tuple[str, ...]
    octets: bytes
    tls: str | None
    visit: int


@define(eq=False)
class Peer:
    """`identity`: certificate; `client_anchors`: PEM, asks for a client certificate; `require`: insists on one.

    `rcpt_replies`: other replies by recipient, empty = closes without one. `size`, `eight_bit`: what EHLO offers besides STARTTLS.
    """

    name: str
    identity: Identity | None = None
    behaviour: str = "starttls-ok"
    client_anchors: Sequence[str] = ()
    require: bool = False
    rcpt_replies: dict[str, str] = field(factory=dict)
    final_reply: str = ""
    eight_bit: bool = True
    size: bool = True
    visits: list[Visit] = field(factory=list)
    messages: list[Received] = field(factory=list)
    address: str = ""
    port: int = 0
    _greylisted: set[str] = field(factory=set)
    _server: asyncio.Server | None = None
    _sessions: set[asyncio.Task[None]] = field(factory=set)
    _news: asyncio.Event = field(factory=asyncio.Event)

    async def start(self, address: str = "127.0.0.1", port: int = 0) -> None:
        """Listen on a real address. Errors: OSError."""
        self._server = await asyncio.start_server(self._accept, address, port)
        self.address, self.port = self._server.sockets[0].getsockname()[:2]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for session in self._sessions:
            session.cancel()
        await asyncio.gather(*self._sessions, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()

    async def wait(self, messages: int, limit: float = 10.0) -> list[Received]:
        """Until so many messages have been taken. Errors: TimeoutError."""
        async with asyncio.timeout(limit):
            while len(self.messages) < messages:
                self._news.clear()
                await self._news.wait()
        return self.messages

    def take(self, message: Received) -> None:
        self.messages.append(message)
        self._news.set()

    def rcpt_reply(self, address: str) -> str:
        if address in self.rcpt_replies:
            return self.rcpt_replies[address]
        if self.behaviour == "greylist" and address not in self._greylisted:
            self._greylisted.add(address)
            return RCPT_REPLIES["tempfail-451"]
        return RCPT_REPLIES.get(self.behaviour, "250 2.1.5 Ok")

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._sessions.add(task)
        visit = Visit(number=len(self.visits))
        self.visits.append(visit)
        try:
            await _Session(self, visit, reader, writer).run()
        except (_Gone, OSError, EOFError, asyncio.CancelledError):
            pass
        finally:
            self._sessions.discard(task)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


class _Session:
    def __init__(self, peer: Peer, visit: Visit, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.peer = peer
        self.visit = visit
        self.behaviour = peer.behaviour
        self._reader = reader
        self._writer = writer
        self._buffer = bytearray()
        self._tls: ssl.SSLObject | None = None
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._sender: str | None = None
        self._recipients: list[str] = []

    async def run(self) -> None:
        if self.behaviour == "tarpit":
            for letter in f"220 {self.peer.name} ESMTP\r\n".encode():
                self._writer.write(bytes([letter]))
                await asyncio.sleep(1)
        elif self.behaviour == "banner-554":
            await self.say("554 5.7.1 no service for you")
        else:
            await self.say(f"220 {self.peer.name} ESMTP")
        while True:
            line = (await self.line()).decode("utf-8", "replace")
            self.visit.lines.append((line, self._tls is not None))
            word, _, argument = line.partition(" ")
            await self._command(word.upper(), argument)

    async def _command(self, word: str, argument: str) -> None:
        match word:
            case "EHLO":
                await self._ehlo()
            case "HELO" | "RSET" | "NOOP":
                self._sender, self._recipients = None, []
                await self.say("250 2.0.0 Ok")
            case "STARTTLS" if self._tls is None:
                await self._starttls()
            case "MAIL":
                self._sender = _path(argument)
                await self.say("250 2.1.0 Ok")
            case "RCPT":
                reply = self.peer.rcpt_reply(_path(argument))
                if not reply:
                    raise _Gone
                if reply[0] == "2":
                    self._recipients.append(_path(argument))
                await self.say(reply)
            case "DATA":
                await self._data()
            case "QUIT":
                await self.say("221 2.0.0 Bye")
                raise _Gone
            case _:
                await self.say("500 5.5.1 command not recognized")

    async def _ehlo(self) -> None:
        if self.behaviour == "no-esmtp":
            await self.say("500 5.5.1 command not recognized")
            return
        if self.behaviour == "ehlo-fails-after-tls" and self._tls is not None:
            await self.say("421 4.3.0 not today")
            raise _Gone
        if self.behaviour == "endless-reply":
            while True:
                self.write(b"250-AND-ANOTHER-ONE\r\n" * 20)
                await self.drain()
        lines = [self.peer.name]
        if self.behaviour == "bad-order":
            lines = ["STARTTLS", self.peer.name]
        lines += ["SIZE 10485760"] if self.peer.size else []
        lines += ["8BITMIME"] if self.peer.eight_bit else []
        if self._tls is None and self.behaviour not in WITHOUT_STARTTLS:
            lines.append("STARTTLS")
        await self.say("\r\n".join(f"250{' ' if line is lines[-1] else '-'}{line}" for line in lines))

    async def _starttls(self) -> None:
        if self.behaviour in WITHOUT_STARTTLS:
            await self.say("502 5.5.1 not implemented")
            return
        if self.behaviour == "starttls-close":
            raise _Gone
        if self.behaviour in STARTTLS_REPLIES:
            await self.say(STARTTLS_REPLIES[self.behaviour])
            if self.behaviour == "starttls-421":
                raise _Gone
            return
        inject = b"250 injected\r\n" if self.behaviour == "220-then-inject" else b""
        self.write(b"220 2.0.0 Go ahead\r\n" + inject)
        await self.drain()
        if self.behaviour == "220-then-close":
            raise _Gone
        if self.behaviour == "220-then-garbage":
            await self.more()  # what came with the 220 would be no handshake that fails
            self.write(b"this is certainly no TLS")
            await self.drain()
        elif self.behaviour == "handshake-hang":
            while True:
                await self.more()
        self._buffer.clear()
        await self._handshake()

    async def _handshake(self) -> None:
        context = self._context()

        def note(session: Any, name: str | None, _: ssl.SSLContext) -> None:
            self.visit.sni = name

        context.sni_callback = note
        session = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        while True:
            try:
                session.do_handshake()
                break
            except ssl.SSLWantReadError:
                await self._flush()
                self._incoming.write(await self._receive())
            except ssl.SSLError:
                await self._flush()
                raise _Gone from None
        self._tls = session
        self.visit.version = session.version()
        self.visit.client_certificate = session.getpeercert(binary_form=True)
        await self._flush()

    def _context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        identity = self.peer.identity
        assert identity is not None, "a peer that offers STARTTLS needs a certificate"
        if self.behaviour == "long-chain":
            identity = Identity(certificate=identity.certificate, key=identity.key, chain=tuple(identity.chain[:1]) * 100)
        # RSA keys of 1024 bits are too weak for the default level.
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        if self.behaviour == "handshake-fail":
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            context.set_ciphers("kRSA")
        with tempfile.NamedTemporaryFile() as file:
            file.write(identity.pem)
            file.flush()
            context.load_cert_chain(file.name)
        if self.peer.client_anchors:
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
            context.load_verify_locations(cadata="".join(self.peer.client_anchors))
            context.verify_mode = ssl.CERT_REQUIRED if self.peer.require else ssl.CERT_OPTIONAL
        return context

    async def _data(self) -> None:
        if not self._recipients:
            await self.say("554 5.5.1 no valid recipients")
            return
        await self.say("354 go ahead")
        lines = bytearray()
        while (line := await self.line()) != b".":
            lines += (line[1:] if line.startswith(b".") else line) + b"\r\n"
        if self.behaviour == "close-after-dot":
            raise _Gone
        if self.behaviour == "data-554":
            await self.say("554 5.6.0 content rejected")
            return
        reply = self.peer.final_reply or f"250 2.0.0 Ok: queued as {len(self.peer.messages) + 1}"
        if reply[0] == "2":
            self.visit.messages += 1
            self.peer.take(
                Received(
                    sender=self._sender or "",
                    recipients=tuple(self._recipients),
                    octets=bytes(lines),
                    tls=self.visit.version,
                    visit=self.visit.number,
                )
            )
        self._sender, self._recipients = None, []
        await self.say(reply)

    # octets

    async def line(self) -> bytes:
        while (end := self._buffer.find(b"\r\n")) < 0:
            await self.more()
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    async def more(self) -> None:
        if self._tls is None:
            self._buffer += await self._receive()
            return
        try:
            plain = self._tls.read(_READ)
        except ssl.SSLWantReadError:
            await self._flush()
            self._incoming.write(await self._receive())
            return
        except ssl.SSLError:
            raise _Gone from None
        if not plain:
            raise _Gone
        self._buffer += plain

    async def _receive(self) -> bytes:
        data = await self._reader.read(_READ)
        if not data:
            raise _Gone
        self.visit.raw += data
        return data

    def write(self, octets: bytes) -> None:
        if self._tls is None:
            self._writer.write(octets)
        else:
            self._tls.write(octets)
            self._writer.write(self._outgoing.read())

    async def drain(self) -> None:
        await self._writer.drain()

    async def _flush(self) -> None:
        self._writer.write(self._outgoing.read())
        await self.drain()

    async def say(self, text: str) -> None:
        if self.behaviour == "slow":
            await asyncio.sleep(1)
        self.write(f"{text}\r\n".encode())
        await self.drain()


def _path(argument: str) -> str:
    return argument.partition("<")[2].partition(">")[0]
