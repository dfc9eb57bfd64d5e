"""A mail server whose TLS is that of `openssl s_server`: clear text until STARTTLS, then every octet goes through it.

Each connection has an s_server of its own, started with the options of the peer. Its standard input and output are the
plain side of the session, where an SMTP server answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from attrs import define, field

_REPLIES = {"EHLO": "250-peer.test\r\n250 8BITMIME", "MAIL": "250 ok", "RCPT": "250 ok", "RSET": "250 ok", "QUIT": "221 bye"}
_ACCEPTS = re.compile(rb"ACCEPT .*:(\d+)\s")


@define(eq=False)
class OpensslPeer:
    """`messages`: of each message that was taken whether it came in TLS. `options`: of s_server."""

    certificate: Path
    """PEM of certificate, key and chain"""
    options: tuple[str, ...] = ()
    messages: list[bool] = field(factory=list)
    port: int = 0
    _sessions: set[asyncio.Task[None]] = field(factory=set)

    async def wait(self, count: int) -> list[bool]:
        """Until so many messages have been taken."""
        async with asyncio.timeout(20):
            while len(self.messages) < count:
                await asyncio.sleep(0.005)
        return self.messages

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._sessions.add(task)
        try:
            writer.write(b"220 peer.test ESMTP\r\n")
            if await self._talk(reader, writer, encrypted=False):
                await self._through_openssl(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._sessions.discard(task)
            writer.close()

    async def stop(self) -> None:
        for session in list(self._sessions):
            session.cancel()
        await asyncio.gather(*self._sessions, return_exceptions=True)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, encrypted: bool) -> bool:
        """SMTP until the end (False) or STARTTLS (True). What is no command, as openssl prints it too, gets no answer."""
        while line := await reader.readline():
            word = line[:4].decode("latin-1").upper()
            if line.upper().startswith(b"STARTTLS") and not encrypted:
                writer.write(b"220 go ahead\r\n")
                return True
            if word == "DATA":
                writer.write(b"354 go ahead\r\n")
                while (await reader.readuntil(b"\r\n")) != b".\r\n":
                    pass
                self.messages.append(encrypted)
                writer.write(b"250 taken\r\n")
            elif word == "EHLO" and not encrypted:
                writer.write(b"250-peer.test\r\n250 STARTTLS\r\n")
            elif word in _REPLIES:
                writer.write(f"{_REPLIES[word]}\r\n".encode())
            if word == "QUIT":
                break
        return False

    async def _through_openssl(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        process = await asyncio.create_subprocess_exec(
            "openssl", "s_server", "-accept", "127.0.0.1:0", "-naccept", "1", "-cert_chain", str(self.certificate),
            "-cert", str(self.certificate), "-key", str(self.certificate), *self.options,
            stdin=PIPE, stdout=PIPE, stderr=DEVNULL,
        )  # fmt: skip
        try:
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", await _accepting(process))
            assert process.stdout is not None and process.stdin is not None
            plain = asyncio.create_task(self._talk(process.stdout, process.stdin, encrypted=True))
            outward = asyncio.create_task(_pump(inner_reader, writer))
            try:
                await _pump(reader, inner_writer)
            finally:
                # The client has closed the connection: nobody hears what may still be said.
                for task in (outward, plain):
                    task.cancel()
                await asyncio.gather(outward, plain, return_exceptions=True)
                inner_writer.close()
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()


async def _accepting(process: Process) -> int:
    """The port that s_server has taken."""
    assert process.stdout is not None
    seen = b""
    async with asyncio.timeout(20):
        while (match := _ACCEPTS.search(seen)) is None:
            seen += await process.stdout.readline()
    return int(match[1])


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while octets := await reader.read(65536):
            writer.write(octets)
        writer.close()


@asynccontextmanager
async def openssl_peer(certificate: Path, *options: str) -> AsyncIterator[OpensslPeer]:
    peer = OpensslPeer(certificate, options)
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
    peer.port = server.sockets[0].getsockname()[1]
    try:
        yield peer
    finally:
        server.close()
        await peer.stop()
        await server.wait_closed()


@asynccontextmanager
async def openssl_web_server(certificate: Path, folder: Path, *options: str) -> AsyncIterator[int]:
    """An s_server that serves the files below `folder`; its port."""
    process = await asyncio.create_subprocess_exec(
        "openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", str(certificate), "-key", str(certificate), "-WWW", *options,
        stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL, cwd=folder,
    )  # fmt: skip
    try:
        yield await _accepting(process)
    finally:
        process.kill()
        await process.communicate()
