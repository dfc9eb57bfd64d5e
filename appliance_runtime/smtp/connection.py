"""One inbound connection: octets between a socket and its conversation, TLS in between, time limits, orderly ends.

No task and no coroutine: everything happens in the callbacks of the stream, of timers and of the queue's answer.
"""

from __future__ import annotations

import asyncio
import fcntl
import ssl
import termios
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from datetime import datetime, timedelta
from functools import partial
from time import monotonic
from typing import NamedTuple

from appliance_runtime.services import Endpoint
from appliance_runtime.smtp.access import CompiledListener
from appliance_runtime.smtp.conversation import Conversation
from appliance_runtime.smtp.engine import State
from appliance_runtime.smtp.surroundings import Peer
from appliance_runtime.smtp.tls_session import CLIENT_CERTIFICATE_BAD, TlsSession
from appliance_runtime.streams import Stream
from appliance_runtime.tls import tls_error_text
from appliance_state.model.listeners import ListenerType

OVERTIME_SHARE = 0.8
"""of max_connection_time"""
HANDSHAKE_LIMIT = 60.0
_CLOSED, _HANDSHAKE = State.CLOSED, State.HANDSHAKE
LINGER = 2.0
"""seconds of real time that a client has to take the last reply"""


class ConnectionContext(NamedTuple):
    """What a connection took with it when it began. `tls`: what serves its STARTTLS; `network_scale`: factor of limits in real time."""

    endpoint: Endpoint
    listener: CompiledListener
    tls: ssl.SSLContext | None
    began: datetime
    signers: Executor
    """where handshakes are signed, so that other connections do not wait for it"""
    network_scale: float
    on_end: Callable[[Connection], None]
    """called when the session is over"""
    on_closed: Callable[[Connection], None]
    """called when the socket is closed"""
    client_problem: Callable[[Sequence[bytes]], str | None] = lambda chain: None
    """what is wrong with a client certificate whose path (DER) has been verified; None = nothing"""


class Connection(asyncio.Protocol):
    """`deadline`: next moment of the appliance clock at which `check_time` is to be called."""

    def __init__(self, context: ConnectionContext) -> None:
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._refusal: bytes | None = None
        self._tls: TlsSession | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._reading = True
        self._congested = False
        self._signing = False
        """a thread works on the handshake"""
        self._stalled = False
        """commands wait until others were served, and the client has taken the replies to the ones before"""
        self._half_closed = False
        self._made = False
        self._gone = False
        self._over = False
        self._overdue = False
        self._retiring = False
        self._leaving = False
        """either"""
        self.conversation: Conversation
        self.transport: Stream
        self._closed: asyncio.Future[None] | None = None
        self.heard_at = monotonic()
        limits = context.listener.globals
        self._overtime = context.began + timedelta(seconds=limits.max_connection_time * OVERTIME_SHARE)
        self._patience = context.began + timedelta(seconds=limits.unsuccessful_timeout)
        self._public = context.listener.listener.type is ListenerType.PUBLIC
        self.deadline: datetime | None = min(self._patience, self._overtime) if self._public else self._overtime

    def start(self, conversation: Conversation, refusal: bytes | None) -> None:
        """Before the transport is made: whose octets these are, and the reply that a limit demands instead of a session."""
        self.conversation = conversation
        self._refusal = refusal

    @property
    def endpoint(self) -> Endpoint:
        return self._context.endpoint

    @property
    def peer(self) -> Peer:
        return self.conversation.peer

    @property
    def closed(self) -> asyncio.Future[None]:
        """Done when the socket is closed; made for those who wait for it."""
        if self._closed is None:
            self._closed = self._loop.create_future()
            if self._gone:
                self._closed.set_result(None)
        return self._closed

    # transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, Stream)
        self.transport = transport
        self._made = True
        self.conversation.begin(self._refusal)
        self.work()

    def data_received(self, data: bytes) -> None:
        if self._over:
            return  # lingering: what still comes is not read
        self.heard_at = monotonic()
        conversation = self.conversation
        if self._tls is not None:
            data = self._decrypted(self._tls, data)
        if data:
            conversation.engine.receive(data)
        if conversation.waiting or self._stalled:
            self._steer_reading()
        else:
            self.work()

    def eof_received(self) -> bool:
        if self._over:
            return False
        if self._tls is not None and not self._tls.established:
            self._handshake_failed("EOF", lost=True)
            return False
        # What the client sent before it closed its side is still answered.
        self._half_closed = self.conversation.waiting or self._stalled
        return self._half_closed

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone = True
        self._stop_timer()
        if self._tls is not None and not self._tls.established and not self._over:
            self._handshake_failed("EOF" if exc is None else tls_error_text(exc), lost=True)
        if not self.conversation.waiting:
            self._end(lost=True)
        if self._closed is not None and not self._closed.done():
            self._closed.set_result(None)
        self._context.on_closed(self)

    def pause_writing(self) -> None:
        self._congested = True
        self._steer_reading()

    def resume_writing(self) -> None:
        self._congested = False
        self._go_on()
        self._steer_reading()

    def _go_on(self) -> None:
        """Work on what was left when there were many replies."""
        if self._stalled and not self._congested and not self._over:
            self.work()
            if not self._stalled:
                self._steer_reading()

    def _steer_reading(self) -> None:
        """Read nothing from a client that does not take its replies, that waits for its turn, or whose message is being stored."""
        wanted = self._over or not (self._congested or self._stalled or self._signing or self.conversation.waiting)
        if wanted == self._reading or self._gone or self.transport.is_closing():
            return
        self._reading = wanted
        if wanted:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()

    # the session

    def work(self) -> None:
        """Work on what has come in, send the replies, and go on to what follows from them."""
        conversation = self.conversation
        engine = conversation.engine
        self._stalled = False
        if not (self._leaving and self._leaving_now):
            self._send(conversation.run())
            if conversation.more:
                self._stall()
                return
        state = engine.state
        if state is _CLOSED:
            self._finish()
        elif state is _HANDSHAKE:
            if self._tls is None:
                self._begin_handshake()
                if self._half_closed:  # while the message before it was being stored
                    self._handshake_failed("EOF", lost=True)
        elif self._leaving and self._leaving_now:
            self._say_goodbye()
        elif self._half_closed and not conversation.waiting:
            self.transport.close()

    def _stall(self) -> None:
        """Serve the others, and read no more from this client until it has had its turn again."""
        if not self.transport.is_closing():  # else it has gone, as `connection_lost` is about to tell
            self._stalled = True
            self._steer_reading()
            self._loop.call_soon(self._go_on)

    @property
    def _leaving_now(self) -> bool:
        """A limit of time, or the appliance, ends the session, and it is not in the middle of something that may end first."""
        engine = self.conversation.engine
        return (self._overdue and not engine.in_message) or (self._retiring and not engine.in_transaction)

    def changed(self) -> None:
        """The queue, or a limit, has answered."""
        if self.deadline is not None and self.conversation.accepted:
            self.deadline = self._overtime
        if self._gone or self._over:
            self._end(lost=True)
            return
        self.heard_at = monotonic()
        self.work()
        if not self._reading:
            self._steer_reading()

    def check_time(self, now: datetime) -> None:
        """The appliance clock has reached `now`."""
        if not self._open or self.deadline is None or now < self.deadline:
            return
        engine = self.conversation.engine
        if now >= self._overtime:
            self.deadline = None
            self._overdue = self._leaving = True
            if not engine.in_message:
                self._say_goodbye()
        elif self.conversation.waiting and engine.in_message:
            self.deadline = self._overtime  # the message came in time
        else:
            self.conversation.time_out()
            self.work()

    def check_network(self, limit: float) -> None:
        """End the session of a client that has not been heard of for `limit` seconds of real time."""
        if self._open and not self.conversation.waiting and monotonic() - self.heard_at > limit:
            self.conversation.leave()
            self._send(self.conversation.run())
            self._finish(lost=True)

    def abort(self) -> None:
        """Close the socket whatever the client has not taken."""
        if self._made and not self._gone:
            self.transport.abort()

    def retire(self) -> None:
        """End the session with 421: now when no message is on its way, else after the reply to it."""
        self._retiring = self._leaving = True
        if self._open and not self.conversation.engine.in_transaction and not self._handshaking:
            self._say_goodbye()

    def cut(self) -> None:
        """End the session with 421 now; only a message that is being stored gets its reply before."""
        self._retiring = self._overdue = self._leaving = True
        if self._handshaking:
            self._handshake_failed("timeout")
        elif self._open and not self.conversation.waiting:
            self._say_goodbye()

    @property
    def _open(self) -> bool:
        """The session has begun and is not over. What happens before it begins takes effect with its beginning."""
        return self._made and not self._over

    def _say_goodbye(self) -> None:
        if self._retiring:
            self.conversation.leave()
        else:
            self.conversation.overstay()
        self._send(self.conversation.run())
        self._finish()

    def _finish(self, *, lost: bool = False) -> None:
        """Our side of the connection is over; the client may take what was sent."""
        if self._over:
            return
        self._end(lost=lost)
        if self._gone:
            return
        if self._tls is not None and self._tls.established:
            self._tls.close()
            self.transport.write(self._tls.take())
        polite = self.conversation.said_goodbye and not self.conversation.engine.trailing and not self._unread
        if polite or self._half_closed or self._congested:
            self.transport.close(LINGER)
            return
        # Closing a socket with unread octets resets the connection, and the client may lose the last reply.
        self.transport.write_eof()
        self._steer_reading()
        self._set_timer(LINGER, self.transport.abort)

    @property
    def _unread(self) -> bool:
        """The client has sent octets that nobody has read."""
        return any(fcntl.ioctl(self.transport.descriptor, termios.FIONREAD, bytes(4)))

    def _end(self, *, lost: bool) -> None:
        if not self._over:
            self._over = True
            self.deadline = None
            self.conversation.end(lost=lost)
            self._context.on_end(self)

    def _send(self, plain: bytes) -> None:
        if not plain or self._gone:
            return
        if self._tls is None:
            self.transport.write(plain)
        elif self._tls.established:
            self._tls.send(plain)
            self.transport.write(self._tls.take())

    # TLS

    @property
    def _handshaking(self) -> bool:
        return self._tls is not None and not self._tls.established

    def _begin_handshake(self) -> None:
        assert self._context.tls is not None  # else STARTTLS was refused
        self._tls = TlsSession(self._context.tls)
        self._set_timer(HANDSHAKE_LIMIT * self._context.network_scale, lambda: self._handshake_failed("timeout"))

    def _decrypted(self, tls: TlsSession, records: bytes) -> bytes:
        tls.feed(records)
        if tls.costly:
            self._signing = True
            self._steer_reading()
            answering = self._loop.run_in_executor(self._context.signers, tls.advance)
            answering.add_done_callback(partial(self._signed, tls))
            return b""
        return self._advanced(tls, tls.advance)

    def _signed(self, tls: TlsSession, answering: asyncio.Future[bytes]) -> None:
        """The answer to the client's first message of the handshake is there."""
        self._signing = False
        # An error of a session that is over is nobody's any more, but has to be looked at.
        if answering.cancelled() or (answering.exception() is not None and self._over):
            return
        if not self._over:
            self._advanced(tls, answering.result)
            self._steer_reading()

    def _advanced(self, tls: TlsSession, advance: Callable[[], bytes]) -> bytes:
        handshaking = not tls.established
        try:
            plain = advance()
        except ssl.SSLError as error:
            self.transport.write(tls.take())
            if handshaking:
                self._handshake_failed(tls.failure(error))
            else:
                self.transport.abort()
            return b""
        if handshaking and tls.established:
            self._stop_timer()
            if tls.client_name is not None and (problem := self._context.client_problem(tls.client_chain)):
                self._handshake_failed(f"{CLIENT_CERTIFICATE_BAD}{problem}")
                return b""
            self.conversation.tls_succeeded(tls.version, tls.cipher, tls.client_name)
        self.transport.write(tls.take())
        if tls.ended:
            self._half_closed = True
        return plain

    def _handshake_failed(self, reason: str, *, lost: bool = False) -> None:
        if self._over:
            return
        bad = reason.removeprefix(CLIENT_CERTIFICATE_BAD)
        self.conversation.tls_failed(reason, bad if bad != reason else None)
        self._finish(lost=lost)

    # timers

    def _set_timer(self, seconds: float, action: Callable[[], None]) -> None:
        self._stop_timer()
        self._timer = self._loop.call_later(seconds, action)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
