"""The openssl command as TLS client: single handshakes, and sessions that are typed in."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import PIPE, STDOUT, Process

from attrs import frozen

LIMIT = 20.0


@frozen
class Handshake:
    """What openssl s_client says of one. Empty protocol = there was none; `error`: the last line about why."""

    protocol: str
    cipher: str
    output: str

    @property
    def error(self) -> str:
        return next((line for line in reversed(self.output.splitlines()) if "error:" in line), "")


async def s_client(port: int, *options: str, starttls: bool = False) -> Process:
    """A running openssl s_client; its two outputs are one."""
    smtp = ("-starttls", "smtp") if starttls else ()
    return await asyncio.create_subprocess_exec(
        "openssl", "s_client", "-connect", f"127.0.0.1:{port}", *smtp, *options, stdin=PIPE, stdout=PIPE, stderr=STDOUT
    )


async def handshake(port: int, *options: str, starttls: bool = False) -> Handshake:
    process = await s_client(port, "-brief", *options, starttls=starttls)
    async with asyncio.timeout(LIMIT):
        output = (await process.communicate(b"QUIT\r\n"))[0].decode(errors="replace")
    facts = dict(line.split(": ", 1) for line in output.splitlines() if ": " in line)
    return Handshake(facts.get("Protocol version", ""), facts.get("Ciphersuite", ""), output)


async def seen(process: Process, *texts: bytes) -> bytes:
    """Output of a process up to one of `texts`, or to its end."""
    assert process.stdout is not None
    output = b""
    async with asyncio.timeout(LIMIT):
        while not any(text in output for text in texts) and (piece := await process.stdout.read(4096)):
            output += piece
    return output


async def say(process: Process, text: bytes) -> None:
    assert process.stdin is not None
    process.stdin.write(text)
    await process.stdin.drain()


async def finish(process: Process) -> None:
    """Have openssl end the connection."""
    async with asyncio.timeout(LIMIT):
        await process.communicate(b"Q\n")
