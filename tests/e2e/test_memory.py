"""What a connection costs the program in memory, whatever its client does: less than 256 KiB."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.served import Program, serving, wait

pytestmark = pytest.mark.e2e

CONNECTIONS = 100
BOUND = 256 * 1024
"""octets for each connection"""
TO_DATA = b"EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<joe@d.test>\r\nDATA\r\n"
LIMITS = "--max_conn=1000 --max_size=100M --tls=preferred"

CLIENTS = {
    "idle": (b"EHLO a\r\n",),
    "a large message that is not at its end": (TO_DATA + b"Subject: x\r\n\r\n", *[b"x" * 65536] * 48),
    "a header that is not at its end": (TO_DATA + b"Subject: ", *[b"x" * 8192] * 7),
    "a message in small pieces": (TO_DATA + b"Subject: x\r\n\r\n", *[b"xyz"] * 20_000),
    "commands whose replies are not read": (b"HELP\r\n" * 5000,) * 30,
    "an endless line": (b"x" * 65536,) * 48,
    "many senders and recipients": (b"EHLO a\r\n", (b"MAIL FROM:<a@b>\r\n" + b"RCPT TO:<joe@d.test>\r\n" * 49 + b"RSET\r\n") * 30),
}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with serving(tmp_path_factory.mktemp("memory") / "state", "--map", "auto", "--dns", "127.0.0.1:1") as running:
        done = running.batch(
            "listenerconfig new InboundMail public Management smtp --accept=d.test; "
            f'listenerconfig edit InboundMail hostaccess default {LIMITS}; commit "x" Y'
        )
        assert (done.returncode, done.stdout) == (0, "")
        for _ in range(2):  # what the first connections make once and for all
            with crowd(running, True) as sockets:
                say(sockets, CLIENTS["a large message that is not at its end"])
        yield running


def resident(program: Program) -> int:
    statm = Path(f"/proc/{program.process.pid}/statm").read_text("ascii")
    return int(statm.split()[1]) * 4096


@contextlib.contextmanager
def crowd(program: Program, tls: bool) -> Iterator[list[socket.socket]]:
    """Sessions that have begun, and at the end are gone."""
    quiet = program.open_sockets()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with contextlib.ExitStack() as stack:
        sockets: list[socket.socket] = []
        for _ in range(CONNECTIONS):
            sock = stack.enter_context(socket.create_connection(program.socket("smtp", "InboundMail"), 10))
            assert sock.recv(4096).startswith(b"220 ")
            if tls:
                sock.send(b"EHLO a\r\nSTARTTLS\r\n")
                while not sock.recv(4096).endswith(b"220 Go ahead with TLS\r\n"):
                    pass
                sock = stack.enter_context(context.wrap_socket(sock))
            sockets.append(sock)
        yield sockets
    wait(lambda: program.open_sockets() <= quiet, "the end of all sessions", seen=program.log)


def say(sockets: list[socket.socket], pieces: tuple[bytes, ...]) -> None:
    """Everything that each of them takes, at the same time; what is not taken within a second is left out."""
    left = {sock: list(reversed(pieces)) for sock in sockets}
    for sock in sockets:
        sock.setblocking(False)
    end = time.monotonic() + 20
    quiet = time.monotonic()
    while left and time.monotonic() < end and time.monotonic() - quiet < 1:
        for sock in list(left):
            try:
                for _ in range(200):
                    if not left[sock]:
                        del left[sock]
                        break
                    piece = left[sock].pop()
                    sent = sock.send(piece)
                    if sent < len(piece):
                        left[sock].append(piece[sent:])
                    quiet = time.monotonic()
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                left[sock].append(piece)
    time.sleep(0.2)


@pytest.mark.parametrize("tls", [False, True], ids=["clear", "TLS"])
@pytest.mark.parametrize("client", CLIENTS)
def test_a_connection_stays_small(program: Program, client: str, tls: bool) -> None:
    before = resident(program)
    with crowd(program, tls) as sockets:
        say(sockets, CLIENTS[client])
        each = (resident(program) - before) // CONNECTIONS
    assert each < BOUND, f"{each // 1024} KiB"
