"""Streams over real loopback sockets: order, back-pressure, both kinds of end, faults of a protocol."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import struct
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from appliance_runtime.streams import EVENTS, HIGH_WATER, Stream, Streams

LARGE = bytes(range(256)) * 40_000


class Recorder(asyncio.Protocol):
    """Keeps what it is told. `on_data`: called with each piece."""

    def __init__(self, *, stay: bool = False) -> None:
        self.stay = stay
        self.data = b""
        self.told: list[str] = []
        self.error: Exception | None = None
        self.lost = asyncio.Event()
        self.on_data: Callable[[bytes], None] = lambda data: None
        self.stream: Stream

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, Stream)
        self.stream = transport

    def data_received(self, data: bytes) -> None:
        self.data += data
        self.on_data(data)

    def eof_received(self) -> bool:
        self.told.append("eof")
        return self.stay

    def pause_writing(self) -> None:
        self.told.append("pause")

    def resume_writing(self) -> None:
        self.told.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.told.append("lost")
        self.error = exc
        self.lost.set()


class Pair:
    """A stream, its protocol, and the blocking socket of its peer."""

    def __init__(self, protocol: Recorder) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.peer = socket.create_connection(listening.getsockname())
            sock, _ = listening.accept()
        sock.setblocking(False)
        self.peer.settimeout(10)
        self.protocol = protocol
        self.stream = Streams.running().open(sock, protocol)
        assert protocol.stream is self.stream

    async def read(self, size: int) -> bytes:
        def take() -> bytes:
            taken = bytearray()
            while len(taken) < size and (piece := self.peer.recv(size - len(taken))):
                taken += piece
            return bytes(taken)

        return await asyncio.to_thread(take)

    def reset(self) -> None:
        self.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.peer.close()


Make = Callable[..., Pair]


@pytest.fixture
async def pair() -> AsyncIterator[Make]:
    made: list[Pair] = []

    def make(**options: Any) -> Pair:
        made.append(Pair(Recorder(**options)))
        return made[-1]

    yield make
    for one in made:
        one.stream.abort()
        one.peer.close()
        await asyncio.wait_for(one.protocol.lost.wait(), 5)


@pytest.fixture
async def reports() -> list[dict[str, Any]]:
    """What the event loop is told of faults."""
    made: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, report: made.append(report))
    return made


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.002)


def unconnected() -> socket.socket:
    sock = socket.socket()
    sock.setblocking(False)
    return sock


async def test_connect() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, unconnected() as sock:
        protocol = Recorder()
        stream = await Streams.running().connect(sock, listening.getsockname(), protocol)
        protocol.on_data = stream.write
        peer, _ = listening.accept()
        with peer:
            peer.sendall(b"echo")
            assert await asyncio.to_thread(peer.recv, 10) == b"echo"
        await protocol.lost.wait()
        assert stream is protocol.stream
        assert sock.fileno() == -1


async def test_connect_to_where_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        closed = listening.getsockname()
    for _ in range(3):  # a descriptor that was watched may be watched again
        with unconnected() as sock:
            with pytest.raises(ConnectionRefusedError):
                await Streams.running().connect(sock, closed, Recorder())
            assert sock.fileno() >= 0


async def test_connect_is_given_up() -> None:
    # A listen queue that is full answers nobody.
    with socket.socket() as listening, socket.socket() as first, socket.socket() as second:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for waiting in (first, second):
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        for _ in range(3):
            with unconnected() as sock:
                protocol = Recorder()
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await Streams.running().connect(sock, listening.getsockname(), protocol)
                assert sock.fileno() >= 0
                assert protocol.told == []


async def test_what_is_written_in_a_turn_leaves_at_its_end_in_one_piece(pair: Make) -> None:
    one = pair()
    for word in (b"one ", bytearray(b"two "), memoryview(b"three"), b""):
        one.stream.write(word)
    assert one.stream.get_write_buffer_size() == 13
    await asyncio.sleep(0)
    assert one.stream.get_write_buffer_size() == 0
    assert one.peer.recv(100) == b"one two three"


async def test_every_peer_that_speaks_at_once_is_answered_in_its_order(pair: Make) -> None:
    many = [pair() for _ in range(3 * EVENTS)]
    for one in many:
        one.protocol.on_data = one.stream.write
    for number, one in enumerate(many):
        one.peer.sendall(b"first %d " % number)
        one.peer.sendall(b"second %d" % number)
    for number, one in enumerate(many):
        wanted = b"first %d second %d" % (number, number)
        assert await one.read(len(wanted)) == wanted


async def test_a_peer_that_does_not_read_pauses_the_writer_and_misses_nothing(pair: Make) -> None:
    one = pair()
    sent = 0
    while "pause" not in one.protocol.told:
        one.stream.write(LARGE[:30_000])
        sent += 30_000
        await asyncio.sleep(0)
    # What was written in the turn of the pause is kept, and no more than that above the mark.
    assert one.stream.get_write_buffer_size() <= HIGH_WATER + 30_000
    assert await one.read(sent) == LARGE[:30_000] * (sent // 30_000)
    await until(lambda: one.protocol.told == ["pause", "resume"])
    one.stream.write(b"end")
    assert await one.read(3) == b"end"


async def test_a_peer_that_never_stops_talking_gets_what_waits_for_it(pair: Make) -> None:
    one = pair()
    one.stream.write(LARGE)
    await asyncio.sleep(0)
    assert one.stream.get_write_buffer_size()
    talking = True

    def talk() -> None:
        while talking:
            one.peer.send(b"x" * 1000)

    speaker = asyncio.create_task(asyncio.to_thread(talk))
    assert await one.read(len(LARGE)) == LARGE
    talking = False
    await speaker
    assert one.protocol.data


async def test_the_mark_at_which_a_writer_pauses(pair: Make) -> None:
    one = pair()
    one.stream.set_write_buffer_limits(high=0)
    one.stream.write(LARGE)
    one.stream.flush()
    assert one.protocol.told == ["pause"]
    assert await one.read(len(LARGE)) == LARGE
    await until(lambda: one.protocol.told == ["pause", "resume"])


async def test_close_waits_until_the_peer_has_taken_everything(pair: Make) -> None:
    one = pair()
    one.stream.write(LARGE)
    one.stream.close()
    one.stream.write(b"too late")
    assert one.stream.is_closing()
    assert await one.read(len(LARGE) + 1) == LARGE
    await one.protocol.lost.wait()
    assert one.protocol.error is None
    assert one.stream.get_write_buffer_size() == 0


async def test_nothing_is_heard_after_close(pair: Make) -> None:
    one = pair()
    one.peer.sendall(b"too late")
    one.stream.write(b"goodbye")
    one.stream.close()  # before the loop has looked at the socket
    assert await one.read(7) == b"goodbye"
    await one.protocol.lost.wait()
    assert (one.protocol.data, one.protocol.told) == (b"", ["lost"])


async def test_nothing_is_heard_while_a_closed_stream_lingers(pair: Make) -> None:
    one = pair()
    one.stream.write(LARGE)
    one.stream.close()
    await asyncio.sleep(0.05)
    assert one.stream.get_write_buffer_size() > 0
    one.peer.sendall(b"too late")
    await asyncio.sleep(0.05)
    assert Streams.running().epoll.poll(0) == [], "the loop is not woken for what nobody wants to hear of"
    one.stream.abort()
    await one.protocol.lost.wait()
    assert (one.protocol.data, one.protocol.told) == (b"", ["lost"])


async def test_close_waits_no_longer_than_it_may(pair: Make) -> None:
    one = pair()
    one.stream.write(LARGE)
    one.stream.close(0.05)
    await asyncio.wait_for(one.protocol.lost.wait(), 5)
    assert one.stream.get_write_buffer_size() > 0, "what was not sent can still be told from what was"


async def test_close_of_a_stream_whose_peer_has_stopped_reading_before(pair: Make) -> None:
    one = pair()
    one.stream.write(LARGE)
    left = len(LARGE) + 1
    while left > (left := one.stream.get_write_buffer_size()):
        await asyncio.sleep(0.05)
    assert left
    one.stream.close(0.05)
    await asyncio.wait_for(one.protocol.lost.wait(), 5)


async def test_a_limit_may_be_set_after_close(pair: Make) -> None:
    one = pair(stay=False)
    one.stream.write(LARGE)
    one.peer.shutdown(socket.SHUT_WR)
    await until(one.stream.is_closing)
    assert not one.protocol.lost.is_set()
    one.stream.close(0.05)
    await asyncio.wait_for(one.protocol.lost.wait(), 5)


async def test_abort_waits_for_nothing(pair: Make) -> None:
    one = pair()
    one.stream.write(b"never sent")
    one.stream.abort()
    one.stream.write(b"neither")
    assert await one.read(1) == b""
    assert one.protocol.told == ["lost"]


@pytest.mark.parametrize("stay", [False, True])
async def test_a_peer_that_closes_its_side(pair: Make, *, stay: bool) -> None:
    one = pair(stay=stay)
    one.peer.sendall(b"last words")
    one.peer.shutdown(socket.SHUT_WR)
    await until(lambda: "eof" in one.protocol.told)
    one.stream.write(b"answer")
    assert await one.read(6) == (b"answer" if stay else b"")
    assert one.protocol.data == b"last words"
    assert one.protocol.told == (["eof"] if stay else ["eof", "lost"])


async def test_our_side_is_closed_behind_what_was_written(pair: Make) -> None:
    one = pair()
    one.stream.write(LARGE)
    one.stream.write_eof()
    one.stream.write(b"too late")
    assert await one.read(len(LARGE) + 1) == LARGE
    one.peer.sendall(b"still heard")
    await until(lambda: one.protocol.data == b"still heard")


async def test_a_reset_is_told_with_its_cause(pair: Make) -> None:
    one = pair()
    one.reset()
    await one.protocol.lost.wait()
    assert isinstance(one.protocol.error, ConnectionResetError)


async def test_a_reset_while_the_peer_owes_us_room(pair: Make) -> None:
    one = pair()
    one.stream.pause_reading()
    one.stream.write(LARGE)
    await asyncio.sleep(0)
    one.reset()
    await one.protocol.lost.wait()
    assert isinstance(one.protocol.error, OSError)


async def test_nothing_is_read_in_a_pause(pair: Make) -> None:
    one = pair()
    one.stream.pause_reading()
    one.peer.sendall(b"early")
    one.peer.close()
    await asyncio.sleep(0.05)
    assert one.protocol.told == []
    assert Streams.running().epoll.poll(0) == [], "the loop is not woken for what nobody wants to hear of"
    one.stream.resume_reading()
    await one.protocol.lost.wait()
    assert one.protocol.data == b"early"
    assert one.protocol.told == ["eof", "lost"]


async def test_a_fault_of_a_protocol_ends_its_own_stream(pair: Make, reports: list[dict[str, Any]]) -> None:
    one, other = pair(), pair()

    def fail(data: bytes) -> None:
        raise RuntimeError("fault")

    one.protocol.on_data = fail
    other.protocol.on_data = other.stream.write
    one.peer.sendall(b"x")
    other.peer.sendall(b"y")
    assert await other.read(1) == b"y"
    assert await one.read(1) == b""
    assert [str(report["exception"]) for report in reports] == ["fault"]
    assert str(one.protocol.error) == "fault"


async def test_a_fault_at_the_beginning_ends_the_stream(pair: Make, reports: list[dict[str, Any]]) -> None:
    class Faulty(Recorder):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            raise RuntimeError("fault")

    one = Pair(Faulty())
    assert await one.read(1) == b""
    assert one.protocol.told == ["lost"]
    assert len(reports) == 1
    one.peer.close()


async def test_a_fault_at_the_end_keeps_nobody_else_open(pair: Make, reports: list[dict[str, Any]]) -> None:
    class Faulty(Recorder):
        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            raise RuntimeError("fault")

    first, second = Pair(Faulty()), pair()
    first.stream.abort()
    second.stream.abort()
    assert (await first.read(1), await second.read(1)) == (b"", b"")
    assert first.protocol.told == second.protocol.told == ["lost"]
    assert len(reports) == 1
    first.peer.close()


async def test_a_stream_that_ends_another_one(pair: Make) -> None:
    """Both have something to read in the same turn: the second is not asked for it any more."""
    one, other = pair(), pair()
    one.protocol.on_data = lambda data: other.stream.abort()
    other.protocol.on_data = lambda data: one.stream.abort()
    one.peer.sendall(b"x")
    other.peer.sendall(b"y")
    await until(lambda: bool(one.protocol.told or other.protocol.told))
    assert len(one.protocol.data + other.protocol.data) == 1


def test_streams_go_with_their_loop() -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    async def use() -> None:
        Streams.running()

    asyncio.run(use())
    gc.collect()
    before = descriptors()
    for _ in range(10):
        asyncio.run(use())
    gc.collect()
    assert descriptors() <= before
