"""A worker that runs, as the appliance sees it: the channel to its process, and the sessions that it serves."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from attrs import define, field

from appliance_runtime.services import Endpoint
from appliance_runtime.smtp.surroundings import Peer, SharedLimits
from appliance_runtime.smtp.workers.frames import AT_ONCE, CHUNK, Carry, Ending, Frames, ToWorker, from_worker, to_worker


class HandedOver:
    """A session that a worker serves. `closed`: its socket is closed."""

    def __init__(self, endpoint: Endpoint, peer: Peer, worker: RunningWorker, on_end: Callable[[], None]) -> None:
        self.endpoint = endpoint
        self.peer = peer
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.in_tls = False
        self._worker = worker
        self._on_end: Callable[[], None] | None = on_end

    def retire(self) -> None:
        """See `Connection`."""
        self._worker.say(Ending(self.peer.icid, "retire"))

    def cut(self) -> None:
        self._worker.say(Ending(self.peer.icid, "cut"))

    def abort(self) -> None:
        self._worker.say(Ending(self.peer.icid, "abort"))

    def over(self, limits: SharedLimits) -> None:
        """The session counts no more."""
        on_end, self._on_end = self._on_end, None
        if on_end is not None:
            on_end()
            if self.in_tls:
                limits.leave_tls()


@define(eq=False)
class RunningWorker:
    """A running process. `ready`: number of the settings that it works with; `sessions` by ICID."""

    pid: int
    sock: socket.socket
    handle: Callable[[RunningWorker, list[Any], bytes], None]
    ready: int = 0
    heard: bool = True
    """since it was last looked for"""
    sessions: dict[int, HandedOver] = field(factory=dict)
    begun: set[int] = field(factory=set)
    """MIDs of messages that are on their way in"""
    _frames: Frames = field(factory=Frames)
    _buffer: memoryview = field(factory=lambda: memoryview(bytearray(CHUNK)))
    _waiting: bytearray = field(factory=bytearray)
    """what the channel has not been given, or has not taken"""
    _flushing: bool = False

    def begin(self) -> None:
        self.sock.setblocking(False)
        asyncio.get_running_loop().add_reader(self.sock, self._hear)

    def end(self) -> None:
        """Have the process end."""
        if self.sock.fileno() >= 0:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self.sock)
            loop.remove_writer(self.sock)
            self.sock.close()
            self.ready = 0

    def say(self, value: ToWorker) -> None:
        """Sooner or later, together with what else is said in this turn of the event loop."""
        self._waiting += to_worker(value)
        if not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    def hand_over(self, carry: Carry, client: socket.socket) -> bool:
        """False = it has to be kept."""
        frame = to_worker(carry)
        if self._waiting:
            self._flush()
        if self._waiting or len(frame) > AT_ONCE:
            return False
        try:
            socket.send_fds(self.sock, [frame], [client.fileno()])
        except OSError:  # it does not keep up, it is gone, or too many descriptors are on their way to it
            return False
        return True

    def _flush(self) -> None:
        """`_flushing` stays set while a writer waits for room."""
        loop = asyncio.get_running_loop()
        if self.sock.fileno() < 0:
            self._waiting.clear()
            return
        try:
            while self._waiting:
                del self._waiting[: self.sock.send(self._waiting)]
        except BlockingIOError:
            self._flushing = True
            loop.add_writer(self.sock, self._flush)
            return
        except OSError:
            self._waiting.clear()  # its end is about to be noticed
        self._flushing = False
        loop.remove_writer(self.sock)

    def _hear(self) -> None:
        try:
            count = self.sock.recv_into(self._buffer)
        except BlockingIOError:
            return
        except OSError:
            count = 0
        if not count:
            self.end()
            return
        self.heard = True
        self._frames.feed(self._buffer[:count])
        for head, body in self._frames:
            self.handle(self, from_worker(head), body)
