"""Clients that mean no good: floods, one octet at a time, ends in every place. The others are served meanwhile."""

from __future__ import annotations

import asyncio
import resource
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from appliance_state.model.listeners import ListenerGlobals
from tests.appliance_runtime.smtp.bench import Bench, public_listener

LORIS = 500
RESET = struct.pack("ii", 1, 0)


@pytest.fixture(params=[0, 2], ids=["appliance", "workers"])
def workers(request: pytest.FixtureRequest) -> int:
    """By whom they are served."""
    count: int = request.param
    return count


@pytest.fixture(autouse=True)
def descriptors() -> Iterator[None]:
    """Room for both sides of many connections in one process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 4096:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Crowd:
    """Many plain sockets, from as many addresses as are asked for."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.sockets: list[socket.socket] = []

    async def connect(self, count: int, *, sources: int = 1) -> None:
        loop = asyncio.get_running_loop()
        for number in range(count):
            sock = socket.socket()
            sock.setblocking(False)
            sock.bind((f"127.0.1.{number % sources + 1}", 0))
            self.sockets.append(sock)
            await loop.sock_connect(sock, ("127.0.0.1", self.port))

    async def read(self, sock: socket.socket) -> bytes:
        async with asyncio.timeout(10):
            return await asyncio.get_running_loop().sock_recv(sock, 4096)

    def say(self, octets: bytes) -> None:
        for sock in self.sockets:
            sock.send(octets)

    def close(self) -> None:
        for sock in self.sockets:
            sock.close()
        self.sockets = []


@pytest.fixture
async def bench(tmp_path: Path, workers: int) -> AsyncIterator[Bench]:
    made = Bench(tmp_path, workers)
    yield made
    await made.close()


async def started(bench: Bench, *, per_client: int = 1000, connections: int = 1000) -> Crowd:
    listener = public_listener(client_concurrency=per_client, max_concurrency=connections)
    return Crowd(await bench.start(listener, listener_globals=ListenerGlobals(max_connections=connections)))


async def emptied(bench: Bench, limit: int = 0) -> None:
    async with asyncio.timeout(20):
        while len(bench.receiver.connections) > limit:
            await asyncio.sleep(0.005)


@pytest.mark.parametrize(
    ("sources", "limits", "refusal"),
    [
        (1, {"per_client": 10}, b"421 #4.4.5 Too many connections from your host.\r\n"),
        (50, {"connections": 10}, b"421 #4.4.5 Too many connections to this listener.\r\n"),
    ],
)
async def test_a_flood_of_connections(bench: Bench, sources: int, limits: dict[str, int], refusal: bytes) -> None:
    crowd = await started(bench, **limits)
    await crowd.connect(300, sources=sources)
    answers = Counter([await crowd.read(sock) for sock in crowd.sockets])
    assert answers == {b"220 mail3.example.com ESMTP\r\n": 10, refusal: 290}
    failed = [line for line in bench.logs.lines if line.endswith("Receiving Failed: Connection limit exceeded")]
    assert len(failed) == 290
    if "per_client" in limits:
        client = await bench.client()
        await client.command("EHLO a")
        assert (await client.deliver()).startswith("250 ok")
        await client.quit()
    crowd.close()
    await emptied(bench)
    client = await bench.client()
    assert client.banner.startswith("220 ")
    assert bench.receiver.opened.total == 1
    await client.quit()


async def test_connections_that_are_reset_at_once(bench: Bench) -> None:
    crowd = await started(bench)
    for _ in range(10):
        await crowd.connect(50)
        for sock in crowd.sockets:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        crowd.close()
    client = await bench.client()
    await client.command("EHLO a")
    assert (await client.deliver()).startswith("250 ok")
    await client.quit()
    await emptied(bench)
    opened = sum("New SMTP ICID" in line for line in bench.logs.lines)
    assert opened == sum(line.endswith(" close") for line in bench.logs.lines)
    assert bench.counters.gauges == {"conn_in": 0}


@pytest.mark.parametrize("workers", [0])
async def test_five_hundred_clients_that_say_one_octet_at_a_time(bench: Bench) -> None:
    crowd = await started(bench)
    await crowd.connect(LORIS, sources=5)
    for sock in crowd.sockets:
        assert (await crowd.read(sock)).startswith(b"220 ")
    client = await bench.client()
    await client.command("EHLO a")
    for second, octet in enumerate(b"EHLO a\r\nMA"):
        crowd.say(bytes([octet]))
        await bench.clock.advance(1)
        assert await client.deliver() == f"250 ok:  Message {second + 1} accepted", "in the middle of it"
    await client.quit()
    assert len(bench.receiver.connections) >= LORIS
    await bench.clock.advance(291)
    late = b"421 Timed out waiting for successful message injection, disconnecting.\r\n"
    for sock in crowd.sockets:
        answer = b""
        while chunk := await crowd.read(sock):
            answer += chunk
        assert answer.endswith(late)
    crowd.close()
    await emptied(bench)
    lost = [line for line in bench.logs.lines if line.endswith("no messages injected within timeout period")]
    assert len(lost) == LORIS


async def test_connections_that_are_half_closed_everywhere(bench: Bench) -> None:
    crowd = await started(bench)
    places = (b"", b"EH", b"EHLO a\r\n", b"EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<joe@example.com>\r\nDATA\r\nSubject: x\r\n\r\nx")
    await crowd.connect(len(places) * 25)
    for number, sock in enumerate(crowd.sockets):
        sock.send(places[number % len(places)])
        sock.shutdown(socket.SHUT_WR)
    await emptied(bench)
    for sock in crowd.sockets:
        answer = b""
        while chunk := await crowd.read(sock):
            answer += chunk
        assert answer.startswith(b"220 ")
    crowd.close()
    assert bench.queue.messages == []
    assert sum(line.endswith("Receiving aborted") for line in bench.logs.lines) == 25
    assert sum(line.endswith(" lost") for line in bench.logs.lines) == 100


@pytest.mark.parametrize(
    ("size", "reply"),
    [
        ("10485760", "250 sender <a@b> ok"),
        ("10485761", "552 #5.3.4 message size exceeds limit"),
        ("18446744073709551616", "552 #5.3.4 message size exceeds limit"),
        ("9" * 20, "552 #5.3.4 message size exceeds limit"),
        ("9" * 21, f"501 Unknown value {'9' * 21}"),
        ("9" * 900, f"501 Unknown value {'9' * 400}"),
        ("-1", "501 Unknown value -1"),
        ("1e9", "501 Unknown value 1e9"),
        ("٣", "501 #5.5.2 syntax error FROM:<a@b> SIZE=??"),
        ("", "501 Unknown value"),
    ],
)
async def test_sizes_that_are_announced(bench: Bench, size: str, reply: str) -> None:
    await started(bench)
    client = await bench.client()
    await client.command("EHLO a")
    assert (await client.command(f"MAIL FROM:<a@b> SIZE={size}")).rstrip() == reply
    await client.quit()


async def test_a_message_without_an_end_is_read_and_refused(bench: Bench) -> None:
    listener = public_listener(max_message_size=100_000)
    await bench.start(listener)
    client = await bench.client()
    await client.commands("EHLO a", "MAIL FROM:<a@b>", "RCPT TO:<joe@example.com>", "DATA")
    for _ in range(200):
        client.send(b"x" * 65536)
        await client.writer.drain()
    assert not list(bench.queue.spool.iterdir()), "nothing of it is kept"
    client.send(b"\r\n.\r\n")
    assert await client.reply() == "552 #5.3.4 message size exceeds limit"
    await client.quit()
    assert "ICID 1 Receiving Failed: Message size exceeds limit" in await bench.ended()


async def test_ten_thousand_refused_recipients_leave_the_session_usable(bench: Bench) -> None:
    await started(bench)
    client = await bench.client()
    client.send(b"EHLO a\r\nMAIL FROM:<a@b>\r\n" + b"RCPT TO:<joe@example.com>\r\n" * 10_000)
    answers = Counter([await client.reply() for _ in range(10_002)])
    assert answers["250 recipient <joe@example.com> ok"] == 50
    assert answers["452 #4.5.3 Too many recipients"] == 9950
    assert await client.command("DATA") == "354 go ahead"
    client.send(b".\r\n")
    assert (await client.reply()).startswith("250 ok:")
    await client.quit()
    await emptied(bench)
    assert bench.counters.values["rejected_recips"] == 9950


async def test_a_client_with_many_commands_in_one_read_takes_turns_with_the_others(bench: Bench) -> None:
    await started(bench)
    busy, other = await bench.client(), await bench.client()
    busy.send(b"NOOP\r\n" * 10_000)
    busy_replies = asyncio.create_task(busy.reader.readexactly(len(b"250 ok\r\n") * 10_000))
    assert await other.command("EHLO a") != ""
    assert (await other.deliver()).startswith("250 ok:")
    received = len(busy.reader._buffer)  # type: ignore[attr-defined]
    assert not busy_replies.done() and received < 80_000, "the other one was not kept waiting to the end"
    assert await asyncio.wait_for(busy_replies, 10) == b"250 ok\r\n" * 10_000
    await busy.quit()
    await other.quit()
