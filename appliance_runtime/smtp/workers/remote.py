"""What the sessions of a worker have in place of the appliance's queue, log, counters and limits: a channel to these.

What is said in one turn of the event loop goes out together, in its order, lines before the message that they are about; what
nobody waits for waits for that, or some milliseconds. The channel blocks when the appliance does not keep up: then no client of this worker is served faster than it can take their mail.
"""

from __future__ import annotations

import asyncio
import os
import socket
from array import array
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from appliance_runtime.logs.writer import event_text
from appliance_runtime.queue.body import Body
from appliance_runtime.queue.database import to_microseconds
from appliance_runtime.queue.envelope import NewMessage, Settle
from appliance_runtime.queue.errors import QueueError, QueueFull
from appliance_runtime.smtp.limits import Answer, Client
from appliance_runtime.smtp.workers.frames import CHUNK, FULL, Answered, Frames, MoreNumbers, Stored, ToWorker, from_appliance, to_appliance

_DESCRIPTOR = array("i")
_ATTACHED = socket.CMSG_SPACE(64 * _DESCRIPTOR.itemsize)
"""octets for the descriptors that come with one read: one, but for what the kernel may do one day"""
PATIENCE = 0.01
"""seconds that log lines and counts wait for company"""
FEW_NUMBERS = 100
"""MIDs; when a worker has fewer it asks for more"""


class Channel:
    """`handle` gets every frame from the appliance, but those with numbers, in the event loop. The process ends with its other side."""

    def __init__(self, sock: socket.socket, handle: Callable[[ToWorker], None]) -> None:
        self.mids: deque[int] = deque()
        self._sock = sock
        self._handle = handle
        self._loop = asyncio.get_running_loop()
        self._frames = Frames()
        self._buffer = memoryview(bytearray(CHUNK))
        self._descriptors: deque[list[int]] = deque()
        """of clients whose frame has not been handled; an empty list where this process had none to spare"""
        self._arrived: deque[ToWorker] = deque()
        self._out: list[bytes] = []
        self._lines: list[tuple[str, str, object]] = []
        self._counts: dict[str, int] = {}
        self._flushing = False
        self._timer: asyncio.TimerHandle | None = None
        self._asked = False

    def begin(self) -> None:
        self._loop.add_reader(self._sock, self._hear)

    # out

    def say(self, *head: Any, body: bytes = b"") -> None:
        """What somebody waits for."""
        self.note(*head, body=body)
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def note(self, *head: Any, body: bytes = b"") -> None:
        """What nobody waits for."""
        self._take_lines()
        self._out.append(to_appliance([*head], body))
        self._flush_later()

    def line(self, name: str, text: str, mid: object) -> None:
        self._lines.append((name, text, mid))
        self._flush_later()

    def count(self, name: str, count: int) -> None:
        self._counts[name] = self._counts.get(name, 0) + count
        self._flush_later()

    def _flush_later(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(PATIENCE, self._flush)

    def _take_lines(self) -> None:
        if self._lines:
            lines, self._lines = self._lines, []
            self._out.append(to_appliance(["lines", lines]))

    def _flush(self) -> None:
        self._flushing = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._take_lines()
        if self._counts:
            self._out.append(to_appliance(["counts", self._counts]))
            self._counts = {}
        out, self._out = self._out, []
        try:
            self._sock.sendall(b"".join(out))
        except OSError:
            os._exit(1)

    # in

    def socket_of_client(self) -> socket.socket | None:
        """That of the `Carry` which is being handled; None = it got lost for want of descriptors."""
        descriptors = self._descriptors.popleft()
        return socket.socket(fileno=descriptors[0]) if descriptors else None

    def next_mid(self) -> int:
        """Waits for more where there are none."""
        if len(self.mids) < FEW_NUMBERS and not self._asked:
            self._asked = True
            self.say("numbers")
        while not self.mids:
            self._flush()
            self._take_in(0)
            if self._arrived:
                self._loop.call_soon(self._handle_all)
        return self.mids.popleft()

    def _hear(self) -> None:
        try:
            self._take_in(socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        self._handle_all()

    def _take_in(self, flags: int) -> None:
        # Not `socket.recv_fds`, which ignores its flags.
        try:
            count, attached, outcome, _ = self._sock.recvmsg_into([self._buffer], _ATTACHED, flags)
        except BlockingIOError:
            raise
        except OSError:
            count, attached, outcome = 0, [], 0
        if not count:
            os._exit(0)  # the appliance has ended, or needs this process no more
        if attached or outcome & socket.MSG_CTRUNC:
            self._descriptors.append([number for _, _, octets in attached for number in _descriptors(octets)])
        self._frames.feed(self._buffer[:count])
        for head, _ in self._frames:
            value = from_appliance(head)
            if isinstance(value, MoreNumbers):
                self._asked = False
                self.mids.extend(value.mids)
            else:
                self._arrived.append(value)

    def _handle_all(self) -> None:
        while self._arrived:
            self._handle(self._arrived.popleft())


def _descriptors(octets: bytes) -> array[int]:
    whole = len(octets) - len(octets) % _DESCRIPTOR.itemsize  # what does not fit may be cut off anywhere
    return array("i", octets[:whole])


class RemoteLog:
    """Formats lines here. `logged`: the events that some log of the appliance wants."""

    def __init__(self, channel: Channel) -> None:
        self.logged: frozenset[str] = frozenset()
        self._channel = channel

    def wants(self, name: str) -> bool:
        return name in self.logged

    def event(self, name: str, **fields: object) -> None:
        if name in self.logged:
            mid = fields.get("mid", 0)
            self._channel.line(name, event_text(name, fields), mid)


class RemoteCounters:
    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def add(self, name: str, count: int = 1) -> None:
        self._channel.count(name, count)


class RemoteIntake:
    """The queue. `spool`: its directory of large bodies."""

    def __init__(self, channel: Channel) -> None:
        self.spool = Path()
        self._channel = channel
        self._waiting: dict[int, Settle] = {}

    def next_mid(self) -> int:
        return self._channel.next_mid()

    def new_body(self) -> Body:
        return Body(self.spool)

    def submit(self, message: NewMessage, settled: Settle) -> None:
        body = message.body
        octets, spool = body.part()
        self._channel.say(
            "message",
            message.mid,
            message.icid,
            message.sender,
            message.recipients,
            to_microseconds(message.received),
            message.listener,
            message.bounce_profile,
            message.direction,
            [body.size, body.checksum, body.verbatim, spool, body.error.errno if body.error else 0],
            body=octets,
        )
        self._waiting[message.mid] = settled

    def settle(self, stored: Stored) -> None:
        settled = self._waiting.pop(stored.mid)
        if not stored.error:
            settled(None)
        else:
            settled(QueueFull() if stored.error == FULL else QueueError(stored.error))


class RemoteLimits:
    """Recipients are counted for everybody, but only a client with a limit has to wait for the answer."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._answers: dict[int, Answer] = {}
        self._asked = 0

    def enter_tls(self, icid: int, limit: int, answer: Answer) -> None:
        self._channel.say("tls", self._question(answer), icid, limit)

    def leave_tls(self) -> None:
        """The appliance knows it from the end of the session."""

    def take_recipient(self, client: Client, limit: int, period: int, answer: Answer) -> None:
        if limit < 0:
            self._channel.note("recipient", 0, client, limit, period)
            answer(True)
        else:
            self._channel.say("recipient", self._question(answer), client, limit, period)

    def settle(self, answered: Answered) -> None:
        self._answers.pop(answered.question)(answered.allowed)

    def _question(self, answer: Answer) -> int:
        self._asked += 1
        self._answers[self._asked] = answer
        return self._asked
