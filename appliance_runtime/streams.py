"""TCP streams of SMTP in the event loop, in and out: what is read in one turn is answered at its end, all at once.

Two things make this cheaper than a transport of asyncio. All streams of a loop share one epoll object, which the loop
watches as one descriptor, so that a turn costs the loop one callback however many peers have spoken. And what is written
leaves at the end of the turn, one send after the other: a send that has to wake its peer costs two to three times as much as
one whose peer is awake, and a peer that the first send has woken is awake for those behind it.

A stream calls its `asyncio.Protocol` as asyncio would; `connection_made` comes before `open` and `connect` return.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
from collections.abc import Callable
from weakref import WeakKeyDictionary, ref

READ_SIZE = 128 * 1024
EVENTS = 32
"""streams that are served in one turn; the others have the next one"""
HIGH_WATER = 64 * 1024
"""octets that the peer has not taken, above which the protocol is asked to pause"""
_IN, _OUT = select.EPOLLIN, select.EPOLLOUT
_CONNECTION_ENDED = select.EPOLLHUP | select.EPOLLERR
_TO_READ = _IN | _CONNECTION_ENDED
_TO_WRITE = _OUT | _CONNECTION_ENDED


class Streams:
    """All streams of one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.buffer = memoryview(bytearray(READ_SIZE))
        self.epoll = select.epoll()
        self._open: dict[int, Stream] = {}
        self._written: list[Stream] = []
        self._ended: list[Stream] = []
        self._turning = False
        """the end of the turn will come without being asked for"""
        loop.add_reader(self.epoll.fileno(), self._turn)

    @classmethod
    def running(cls) -> Streams:
        """Those of the running loop."""
        loop = asyncio.get_running_loop()
        known = _of_loops.get(loop)
        streams = known() if known is not None else None
        if streams is None:
            streams = cls(loop)
            _of_loops[loop] = ref(streams)
        return streams

    def open(self, sock: socket.socket, protocol: asyncio.Protocol) -> Stream:
        """Take over a connected, non-blocking socket."""
        stream = Stream(self, sock, protocol)
        self._open[stream.descriptor] = stream
        stream.begin()
        return stream

    async def connect(self, sock: socket.socket, address: tuple[str, int], protocol: asyncio.Protocol) -> Stream:
        """Connect a non-blocking socket and take it over. Errors: OSError; then it is still the caller's."""
        stream = Stream(self, sock, protocol)
        self._open[stream.descriptor] = stream
        try:
            await stream.connect(address)
        except BaseException:  # also when it is given up
            del self._open[stream.descriptor]
            stream.forget()
            raise
        stream.begin()
        return stream

    def has_written(self, stream: Stream) -> None:
        """It is to be flushed at the end of the turn."""
        self._written.append(stream)
        if not self._turning:
            self._see_to_end()

    def has_ended(self, stream: Stream) -> None:
        """Its protocol is to be told at the end of the turn."""
        self._open.pop(stream.descriptor, None)
        self._ended.append(stream)
        if not self._turning:
            self._see_to_end()

    def _see_to_end(self) -> None:
        self._turning = True
        self.loop.call_soon(self._end_turn)

    def _turn(self) -> None:
        self._turning = True
        known = self._open
        try:
            for descriptor, events in self.epoll.poll(0, EVENTS):
                # A descriptor that was closed in this turn, and is used again already, is read in vain at worst.
                stream = known.get(descriptor)
                if stream is not None:
                    stream.ready(events)
        finally:
            self._end_turn()

    def _end_turn(self) -> None:
        while self._written or self._ended:
            written, self._written = self._written, []
            for stream in written:
                stream.flush()
            ended, self._ended = self._ended, []
            for stream in ended:
                stream.tell_end()
        self._turning = False


_of_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, ref[Streams]] = WeakKeyDictionary()
"""a loop itself keeps its streams, for as long as it watches them"""


class Stream(asyncio.Transport):
    """One connection. `descriptor`: of its socket."""

    def __init__(self, streams: Streams, sock: socket.socket, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self.descriptor = sock.fileno()
        self._streams = streams
        self._sock = sock
        self._protocol = protocol
        self._interest = 0
        """what is to be heard of"""
        self._watched = 0
        """what the epoll object watches for"""
        self._connected: asyncio.Future[None] | None = None
        """until it is connected"""
        self._out: bytes | bytearray | memoryview = b""
        """what was written and not sent"""
        self._high_water = HIGH_WATER
        self._paused = False
        """the protocol has been asked to pause"""
        self._eof = False
        """the peer has closed its side, and ours stays open"""
        self._waiting = False
        """for the peer to take what was written"""
        self._silent = False
        """nothing more is to be written: our side is closed, or is about to be"""
        self._shutting = False
        """our side is to be closed behind what was written"""
        self._closing = False
        self._over = False
        """nothing is sent or read any more"""
        self._linger: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._error: Exception | None = None

    # the beginning

    async def connect(self, address: tuple[str, int]) -> None:
        """Errors: OSError. Without success `forget` is to follow."""
        try:
            self._sock.connect(address)
            return
        except (BlockingIOError, InterruptedError):
            self._connected = self._streams.loop.create_future()
        self._watch(_OUT)
        await self._connected
        if error := self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(error, os.strerror(error))
        self._connected = None

    def forget(self) -> None:
        """The socket is its owner's again."""
        self._watch(0)

    def begin(self) -> None:
        """The socket is connected."""
        self._watch(_IN)
        self.tell(self._protocol.connection_made, self)

    # reading

    def ready(self, events: int) -> None:
        """What epoll says."""
        if events == _IN and self._interest & _IN:  # nearly always
            self._read(self._streams.buffer)
            return
        if self._connected is not None:
            if not self._connected.done():
                self._connected.set_result(None)
            return
        if events & _TO_READ and self._interest & _IN:
            self._read(self._streams.buffer)
        if self._waiting and events & _TO_WRITE:
            self.flush()

    def _read(self, buffer: memoryview) -> None:
        try:
            count = self._sock.recv_into(buffer)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._end(error)
            return
        try:
            if count:
                self._protocol.data_received(bytes(buffer[:count]))
            elif self._protocol.eof_received():
                self._eof = True
                self._watch(self._interest & ~_IN)
            else:
                self.close()
        except Exception as error:
            self._failed(error)

    def pause_reading(self) -> None:
        self._watch(self._interest & ~_IN)

    def resume_reading(self) -> None:
        if not (self._closing or self._eof):
            self._watch(self._interest | _IN)

    def _watch(self, interest: int) -> None:
        """A stream without interest is not watched: epoll would tell of its end again and again."""
        self._interest = interest
        before = self._watched
        if self._over or interest == before:
            return
        self._watched = interest
        epoll = self._streams.epoll
        if not interest:
            epoll.unregister(self.descriptor)
        elif before:
            epoll.modify(self.descriptor, interest)
        else:
            epoll.register(self.descriptor, interest)

    # writing

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send `data` at the end of this turn. It must not change before."""
        if self._silent or not data:
            return
        if self._out:
            self._out = b"".join((self._out, data))
        else:
            self._out = data
            self._streams.has_written(self)
        if self._waiting:
            self._ask_to_pause()

    def flush(self) -> None:
        """Send now what the peer takes."""
        data = self._out
        if self._over or not data:
            return
        try:
            sent = self._sock.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError as error:
            self._end(error)
            return
        if sent == len(data):
            self._out = b""
            if self._silent or self._waiting:
                self._emptied()
        else:
            self._out = memoryview(data)[sent:]
            self._crowded()

    def _emptied(self) -> None:
        if self._closing:
            self._end(None)
            return
        self._waiting = False
        self._watch(self._interest & ~_OUT)
        if self._shutting:
            self._shut()
        if self._paused:
            self._paused = False
            self.tell(self._protocol.resume_writing)

    def _crowded(self) -> None:
        self._waiting = True
        self._watch(self._interest | _OUT)
        if self._closing:
            self._limit_linger()
        else:
            self._ask_to_pause()

    def _ask_to_pause(self) -> None:
        if not self._paused and len(self._out) > self._high_water:
            self._paused = True
            self.tell(self._protocol.pause_writing)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """The protocol goes on when everything has been sent."""
        self._high_water = HIGH_WATER if high is None else high

    def get_write_buffer_size(self) -> int:
        """Octets that were not sent; also when the connection has ended."""
        return len(self._out)

    def write_eof(self) -> None:
        """Close our side, behind what was written."""
        self._shutting = self._silent = True
        if self._out:
            self.flush()
        else:
            self._shut()

    def _shut(self) -> None:
        self._shutting = False
        if not self._over:
            try:
                self._sock.shutdown(socket.SHUT_WR)
            except OSError as error:
                self._end(error)

    # ends

    def close(self, linger: float | None = None) -> None:
        """Close when the peer has taken what was written, or `linger` seconds have passed; these may also be given later."""
        if self._over:
            return
        self._closing = self._silent = True
        self._interest &= ~_IN  # epoll need not know unless the peer does not take everything at once
        if linger is not None:
            self._linger = linger
        if not self._out:
            self._end(None)
        elif self._waiting:
            self._watch(self._interest)
            self._limit_linger()

    def _limit_linger(self) -> None:
        """The peer has not taken everything at once."""
        if self._linger is not None and self._timer is None:
            self._timer = self._streams.loop.call_later(self._linger, self.abort)

    def abort(self) -> None:
        """Close now."""
        self._end(None)

    def is_closing(self) -> bool:
        return self._closing or self._over

    def tell(self, hear: Callable[..., object], *news: object) -> None:
        """Call the protocol."""
        try:
            hear(*news)
        except Exception as error:
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        """The protocol has raised something: that ends this stream, and no other."""
        loop = self._streams.loop
        loop.call_exception_handler({"message": "a protocol failed", "exception": error, "transport": self, "protocol": self._protocol})
        self._end(error)

    def _end(self, error: Exception | None) -> None:
        if not self._over:
            self._over = self._silent = True  # closing the socket ends the watch
            self._error = error
            self._streams.has_ended(self)

    def tell_end(self) -> None:
        """Close the socket and tell the protocol. Once, when the stream has ended."""
        if self._timer is not None:
            self._timer.cancel()
        self._sock.close()
        self.tell(self._protocol.connection_lost, self._error)
