"""Clients that do anything at any time, for a while: nothing leaks, nothing crashes, and honest mail gets through."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz.receiving import SMTP_PIECES, mixed
from tests.support.served import Program, serving, wait

pytestmark = pytest.mark.e2e

SECONDS = 15.0
CLIENTS = 60
HONEST = 5
RESET = struct.pack("ii", 1, 0)


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    with serving(tmp_path / "state", "--map", "auto", "--dns", "127.0.0.1:1") as running:
        done = running.batch(
            "listenerconfig new InboundMail public Management smtp --accept=d.test; "
            "listenerconfig edit InboundMail hostaccess default --max_conn=1000 --max_msgs=100000 --tls=preferred; "
            'smtproutes new ALL /dev/null; commit "x" Y'
        )
        assert (done.returncode, done.stdout) == (0, "")
        yield running


def unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def misbehave(place: tuple[str, int], chance: random.Random, context: ssl.SSLContext) -> None:
    """One connection, ended in one of many ways. Errors: OSError."""
    with socket.create_connection(place, 5) as plain:
        sock = plain
        if chance.random() < 0.3:
            sock.sendall(b"EHLO a\r\nSTARTTLS\r\n")
            said = b""
            while b"220 Go ahead" not in said and (piece := sock.recv(4096)):
                said += piece
            if chance.random() < 0.3:
                sock.sendall(chance.randbytes(chance.randint(1, 500)))
                return
            sock = context.wrap_socket(plain, do_handshake_on_connect=chance.random() < 0.9)
        with sock:
            sock.settimeout(0.5)
            for _ in range(chance.randint(0, 20)):
                sock.sendall(mixed(chance, SMTP_PIECES) * chance.choice((1, 1, 1, 50)))
                match chance.randrange(8):
                    case 0 | 1:
                        sock.recv(chance.choice((1, 100, 65536)))
                    case 2:
                        time.sleep(chance.random() * 0.02)
                    case 3 if sock is plain:
                        sock.shutdown(socket.SHUT_WR)
                        while sock.recv(65536):
                            pass
                        return
            if chance.random() < 0.3:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


def crowd(place: tuple[str, int], seed: int, until: float) -> None:
    chance, context = random.Random(seed), unverified()
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            misbehave(place, chance, context)


async def honest(place: tuple[str, int], until: float) -> int:
    """Messages accepted one after the other; every reply must be the right one."""
    reader, writer = await asyncio.open_connection(*place)

    async def said(line: bytes) -> bytes:
        writer.write(line)
        while (reply := await asyncio.wait_for(reader.readuntil(b"\n"), 10))[3:4] == b"-":
            pass
        return reply

    accepted = 0
    try:
        assert (await said(b"")).startswith(b"220 ")
        assert (await said(b"EHLO honest.test\r\n")).startswith(b"250 ")
        while time.monotonic() < until:
            for line in (b"MAIL FROM:<honest@a.test>\r\n", b"RCPT TO:<joe@d.test>\r\n"):
                assert (await said(line)).startswith(b"250 ")
            assert await said(b"DATA\r\n") == b"354 go ahead\r\n"
            assert (await said(b"Subject: honest\r\n\r\nx\r\n.\r\n")).startswith(b"250 ok:  Message ")
            accepted += 1
            await asyncio.sleep(0.01)
        assert (await said(b"QUIT\r\n")).startswith(b"221 ")
    finally:
        writer.close()
    return accepted


def no_difference(log: str, begun: str, ended: str) -> bool:
    """Whether everything that has begun has ended, once."""
    return sorted(re.findall(begun, log)) == sorted(re.findall(ended, log))


@pytest.mark.parametrize("seed", [random.randrange(1_000_000)])
async def test_fifteen_seconds_of_anything(program: Program, seed: int) -> None:
    place = program.socket("smtp", "InboundMail")
    before = program.open_sockets()
    until = time.monotonic() + SECONDS
    threads = [threading.Thread(target=crowd, args=(place, seed * 1000 + number, until)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        async with asyncio.TaskGroup() as group:
            honestly = [group.create_task(honest(place, until)) for _ in range(HONEST)]
    finally:
        for thread in threads:
            await asyncio.to_thread(thread.join)
    accepted = sum(task.result() for task in honestly)
    assert accepted > 50, f"seed {seed}"
    await asyncio.to_thread(wait, lambda: program.open_sockets() <= before, f"seed {seed}: the end of all sessions", 40)
    # The last lines of a session whose message was being stored come when the queue has answered.
    for begun, ended in ((r"New SMTP ICID (\d+) ", r"ICID (\d+) close\n"), (r"Start MID (\d+) ", r"Message finished MID (\d+) ")):
        await asyncio.to_thread(wait, lambda both=(begun, ended): no_difference(program.log(), *both), f"seed {seed}: the end of all", 20)
    log = program.log()
    assert log.count("New SMTP ICID") > CLIENTS
    assert log.count('Subject "honest"') == accepted
    assert "application fault" not in program.log("system_logs"), f"seed {seed}"
    status = await asyncio.to_thread(program.batch, "status")
    assert re.search(r"Current Inbound Conn\. +0\n", status.stdout)
    program.process.terminate()
    assert program.process.stderr is not None
    errors = await asyncio.to_thread(program.process.stderr.read)
    assert errors == b"", f"seed {seed}: {errors[-2000:]!r}"
