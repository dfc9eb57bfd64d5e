"""One SMTP connection as a client sees it: replies, time limits, TLS (RFC 5321 4.2, RFC 3207; delivery.md 3).

Octets go through memory BIOs once TLS is on, so what came in clear text can never be taken for an answer inside TLS. One
timer watches the whole connection. Time limits are seconds of real time, multiplied by the `scale` of the connection; the
limit of a reply counts for all of it, so that one octet per second does not keep a connection alive.

A dialogue of several commands is a generator: it yields what is to be sent and how long the reply may take, and is given the
reply, or has Lost thrown in. It runs where the replies arrive, with no task switch between its commands.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Generator
from time import monotonic
from typing import Any, TypeVar, cast

from appliance_runtime.delivery.replies import TOO_LONG, NoReply, Reply, ReplyReader, simple
from appliance_runtime.streams import Stream, Streams
from appliance_runtime.tls import peer_chain, tls_error_text

CONNECT, GREETING, COMMAND, HANDSHAKE, ENVELOPE, DATA, BLOCK, FINAL, QUIT, IDLE = 30, 300, 120, 60, 300, 120, 180, 600, 5, 5
BLOCK_OCTETS = 256 * 1024
_READ = 65536
T = TypeVar("T")
Step = tuple[bytes, float]
"""octets to be sent, and the limit for their reply"""


class Lost(Exception):
    """The connection is of no more use. The text is that of `details:` in the log; `alert`: the peer's TLS alert says so."""

    def __init__(self, text: str, *, alert: bool = False) -> None:
        super().__init__(text)
        self.alert = alert


class Wire(asyncio.Protocol):
    """Octets from and to one peer. At most one caller waits, or one dialogue runs, at a time."""

    def __init__(self, scale: float) -> None:
        self.lost: Lost | None = None
        """why the connection has ended"""
        self.on_input: Callable[[], None] | None = None
        """called when something comes, or the connection ends, while nobody waits"""
        self._scale = scale
        self._transport: Stream
        self._replies = ReplyReader()
        self._waiting: asyncio.Future[Reply] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._dialogue: Generator[Step, Any, Any] | None = None
        self._result: asyncio.Future[Any]
        self._limit = 0.0
        self._unsent = memoryview(b"")
        self._handshake: asyncio.Future[None] | None = None
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._expires = 0.0
        """when the timer rings"""
        self._loop = asyncio.get_running_loop()
        self._tls: ssl.SSLObject | None = None
        self._incoming: ssl.MemoryBIO
        self._outgoing: ssl.MemoryBIO

    # -- asked by the owner --------------------------------------------------------------------------------------------

    @property
    def tls(self) -> ssl.SSLObject | None:
        """The session, once established."""
        return self._tls if self._handshake is None else None

    @property
    def chain(self) -> list[bytes]:
        """Certificates that the peer sent, DER."""
        return peer_chain(self._tls)

    @property
    def pending(self) -> bool:
        """Something has come that nobody has read."""
        return self._replies.pending

    async def reply(self, limit: float) -> Reply:
        """The next reply. Errors: Lost."""
        complete = self._parse()
        if complete is not None:
            return complete
        if self.lost is not None:
            raise self.lost
        self._waiting = self._loop.create_future()
        self._arm(limit)
        try:
            return await self._waiting
        finally:
            self._waiting = None

    async def ask(self, line: str, limit: float) -> Reply:
        """Send a command and wait for its reply. Errors: Lost."""
        if self.pending and self.lost is None:
            self._unasked()
        self.write(line.encode("utf-8", "surrogateescape") + b"\r\n")
        return await self.reply(limit)

    def write(self, octets: bytes | memoryview) -> None:
        """Errors: Lost."""
        if self.lost is not None:
            raise self.lost
        if self._tls is None:
            self._transport.write(octets)
            return
        try:
            self._tls.write(octets)
        except ssl.SSLError as error:
            self._end(Lost(tls_error_text(error)))
            raise cast(Lost, self.lost) from error
        self._flush()

    async def send(self, octets: bytes) -> None:
        """Message data, block by block; returns when all of it has left this process. Errors: Lost."""
        view = memoryview(octets)
        for start in range(0, len(view), BLOCK_OCTETS):
            self.write(view[start : start + BLOCK_OCTETS])
            self._transport.flush()
            if self._drained is not None:
                self._arm(BLOCK)
                await self._drained
            if self.lost is not None:
                raise self.lost

    async def converse(self, dialogue: Generator[Step, Reply, T]) -> T:
        """Run a dialogue; returns what it returns. Errors: those of the dialogue, Lost among them."""
        self._result = self._loop.create_future()
        self._dialogue = dialogue
        try:
            self._go_on(None)
            result: T = await self._result
        finally:
            self._dialogue = None
            dialogue.close()
        return result

    @property
    def sending(self) -> bool:
        """Octets of the last step have not left this process yet."""
        return bool(self._unsent) or self._transport.get_write_buffer_size() > 0

    async def start_tls(self, context: ssl.SSLContext, name: str | None) -> None:
        """The handshake. `name`: for SNI. Errors: Lost with the text of OpenSSL or of the socket."""
        if self.lost is not None:
            raise self.lost
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        try:
            session = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name)
        except ValueError:  # no name that may stand there
            session = context.wrap_bio(self._incoming, self._outgoing)
        self._tls = session
        self._handshake = self._loop.create_future()
        self._arm(HANDSHAKE)
        try:
            self._shake()
            await self._handshake
        finally:
            self._handshake = None

    async def quit(self) -> None:
        """Say goodbye and close; never fails."""
        with contextlib.suppress(Lost):
            await self.ask("QUIT", QUIT)
        self.close()

    def close(self) -> None:
        """Close at once, with TLS in order."""
        if self._timer is not None:
            self._timer.cancel()
        if self._tls is not None and self._handshake is None and self.lost is None:
            with contextlib.suppress(ssl.SSLError):
                self._tls.unwrap()
            self._flush()
        self._transport.close(QUIT * self._scale)

    def abort(self) -> None:
        """Drop the connection."""
        self._end(Lost("EOF"))

    # -- told by the transport -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, Stream)
        self._transport = transport
        # Every octet that waits here counts as not sent: a final dot must not be reported before it has left.
        self._transport.set_write_buffer_limits(high=0)

    def data_received(self, data: bytes) -> None:
        if self._tls is None:
            self._take(data)
            return
        self._incoming.write(data)
        try:
            if self._handshake is not None:
                self._shake()
                if self._handshake.done() and self.lost is None:
                    self._read()
            else:
                self._read()
        except ssl.SSLError as error:
            self._end(Lost(tls_error_text(error), alert="alert" in tls_error_text(error)))
        self._flush()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(Lost("EOF" if exc is None else tls_error_text(exc)))

    def pause_writing(self) -> None:
        self._drained = self._loop.create_future()
        if self._dialogue is not None:
            self._arm(BLOCK)

    def resume_writing(self) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        self._drained = None
        if self._dialogue is not None and self.lost is None:
            self._pump()

    # -- a dialogue ----------------------------------------------------------------------------------------------------

    def _go_on(self, reply: Reply | None, lost: Lost | None = None) -> None:
        """Give the dialogue what it waits for, and do what it asks for next."""
        assert self._dialogue is not None
        try:
            # A generator that has just begun takes nothing but None.
            octets, self._limit = self._dialogue.send(reply) if lost is None else self._dialogue.throw(lost)
        except StopIteration as end:
            self._dialogue = None
            if not self._result.done():
                self._result.set_result(end.value)
        except BaseException as error:  # it belongs to whoever waits for the dialogue
            self._dialogue = None
            if not self._result.done():
                self._result.set_exception(error)
        else:
            if self._replies.pending:
                self._unasked()
            elif self.lost is not None:
                self._go_on(None, self.lost)
            elif len(octets) <= BLOCK_OCTETS and self._drained is None:
                try:
                    self.write(octets)
                except Lost:  # which the dialogue knows already
                    return
                self._arm(self._limit)
            else:
                self._unsent = memoryview(octets)
                self._pump()

    def _pump(self) -> None:
        """Send on; what has come meanwhile is heard when everything has left."""
        while self._unsent and self._drained is None:
            block, self._unsent = self._unsent[:BLOCK_OCTETS], self._unsent[BLOCK_OCTETS:]
            try:
                self.write(block)
                self._transport.flush()
            except Lost:  # which the dialogue knows already
                return
        if self._drained is not None:
            self._arm(BLOCK)
        else:
            self._arm(self._limit)
            if self._replies.pending:
                self._hear()

    def _hear(self) -> None:
        """Give a reply to the dialogue, if it has come as a whole."""
        try:
            complete = self._parse()
        except Lost:  # which the dialogue knows already
            return
        if complete is not None:
            self._go_on(complete)

    def _unasked(self) -> None:
        """What comes unasked must not be taken for an answer. Servers say 421 so before they close."""
        with contextlib.suppress(Lost):
            unasked = self._parse()
            self._end(Lost(unasked.text if unasked else "unexpected response"))

    # -- inside --------------------------------------------------------------------------------------------------------

    def _shake(self) -> None:
        """Go on with the handshake as far as what has come allows."""
        assert self._tls is not None and self._handshake is not None
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return
        except ssl.SSLError as error:
            self._flush()
            self._end(Lost(tls_error_text(error), alert="alert" in tls_error_text(error)))
            return
        self._flush()
        if not self._handshake.done():
            self._handshake.set_result(None)

    def _read(self) -> None:
        assert self._tls is not None
        try:
            while data := self._tls.read(_READ):
                self._take(data)
                if not (self._incoming.pending or self._tls.pending()):
                    return  # as nearly always; asking once more would cost an exception
        except ssl.SSLWantReadError:
            return
        except ssl.SSLZeroReturnError:
            pass
        self._end(Lost("EOF"))

    def _flush(self) -> None:
        if self._outgoing.pending and not self._transport.is_closing():
            self._transport.write(self._outgoing.read())

    def _take(self, data: bytes) -> None:
        waiting = self._waiting
        if waiting is not None and waiting.done():
            waiting = None
        expected = waiting is not None or (self._dialogue is not None and not self.sending)
        if expected and not self._replies.pending and (reply := simple(data)) is not None:
            self._deliver(waiting, reply)
            return
        self._replies.feed(data)
        if expected:
            with contextlib.suppress(Lost):  # which everybody knows already
                if (reply := self._parse()) is not None:
                    self._deliver(waiting, reply)
            return
        if self._replies.flooded:
            self._end(Lost(TOO_LONG))
        if self._dialogue is None and self.on_input is not None:
            self.on_input()

    def _deliver(self, waiting: asyncio.Future[Reply] | None, reply: Reply) -> None:
        if waiting is not None:
            waiting.set_result(reply)
        else:
            self._go_on(reply)

    def _parse(self) -> Reply | None:
        """Take one reply; None = it is not complete. Errors: Lost."""
        try:
            return self._replies.next()
        except NoReply as error:
            raise self._end(Lost(str(error))) from None

    def _arm(self, limit: float) -> None:
        """Whoever waits now waits at most `limit`. The timer is only moved when it would come too late."""
        deadline = self._deadline = monotonic() + limit * self._scale
        if self._timer is None or self._expires > deadline:
            if self._timer is not None:
                self._timer.cancel()
            self._set_timer(deadline)

    def _set_timer(self, deadline: float) -> None:
        self._expires = deadline
        self._timer = self._loop.call_at(deadline, self._expire)

    def _expire(self) -> None:
        self._timer = None
        waiters = (self._waiting, self._drained, self._handshake)
        if self._dialogue is None and not any(waiter is not None and not waiter.done() for waiter in waiters):
            return
        if monotonic() < self._deadline:
            self._set_timer(self._deadline)
        else:
            self._end(Lost("timeout"))

    def _end(self, lost: Lost) -> Lost:
        """The connection has ended; the first cause stays. Returns it."""
        if self.lost is None:
            self.lost = lost
            if self._timer is not None:
                self._timer.cancel()
            self._transport.abort()
            for waiter in (self._waiting, self._handshake):
                if waiter is not None and not waiter.done():
                    waiter.set_exception(lost)
            if self._drained is not None and not self._drained.done():
                self._drained.set_result(None)
            if self._dialogue is not None:
                self._go_on(None, lost)
            if self.on_input is not None:
                self.on_input()
        return self.lost


async def connect(address: tuple[str, int], scale: float, source: str | None) -> Wire:
    """Open a connection to a real address. `source`: own address to bind. Errors: Lost with the system's text."""
    wire = Wire(scale)
    try:
        connecting = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    except OSError as error:  # too many open files
        raise Lost(tls_error_text(error)) from error
    try:
        connecting.setblocking(False)
        connecting.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if source:
            connecting.bind((source, 0))
        async with asyncio.timeout(CONNECT * scale):
            await Streams.running().connect(connecting, address, wire)
    except BaseException as error:
        connecting.close()
        if isinstance(error, OSError):  # TimeoutError among them
            raise Lost("timeout" if isinstance(error, TimeoutError) and error.errno is None else tls_error_text(error)) from error
        raise
    return wire
