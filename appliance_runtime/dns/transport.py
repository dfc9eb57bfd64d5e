"""One DNS question to one server: UDP first, TCP after a truncated answer (RFC 1035 4.2, RFC 7766).

Every question leaves from a port of its own. A datagram that is no answer to the question is ignored, so that a guess from
outside does not end the wait. Time limits are in real seconds. Errors: OSError (TimeoutError included), EOFError.
"""

from __future__ import annotations

import asyncio
import struct

import dns.exception
import dns.flags
import dns.message

import appliance_runtime.dns.odd_records  # noqa: F401 for its effect on the parser

PAYLOAD = 1232
"""EDNS: largest datagram that is never fragmented"""


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, question: dns.message.Message, answer: asyncio.Future[dns.message.Message]) -> None:
        self._question = question
        self._answer = answer

    def datagram_received(self, data: bytes, addr: object) -> None:
        message = _read(data)
        if message is not None and not self._answer.done() and self._question.is_response(message):
            self._answer.set_result(message)

    def error_received(self, exc: Exception) -> None:
        if not self._answer.done():
            self._answer.set_exception(exc)


def _read(data: bytes) -> dns.message.Message | None:
    """None = not a DNS message."""
    try:
        return dns.message.from_wire(data, ignore_trailing=True, continue_on_error=False)
    except dns.exception.DNSException:
        return None


async def exchange(
    question: dns.message.Message, server: tuple[str, int], *, limit: float, source: str | None = None
) -> dns.message.Message:
    """The answer of `server` (real address and port) to `question`; `source`: own address."""
    answer = await _by_udp(question, server, limit, source)
    if answer.flags & dns.flags.TC:
        async with asyncio.timeout(limit):
            answer = await _by_tcp(question, server, source)
    return answer


async def _by_udp(question: dns.message.Message, server: tuple[str, int], limit: float, source: str | None) -> dns.message.Message:
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[dns.message.Message] = loop.create_future()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _Datagrams(question, answer), remote_addr=server, local_addr=(source, 0) if source else None
    )
    try:
        async with asyncio.timeout(limit):
            transport.sendto(question.to_wire())
            return await answer
    finally:
        transport.close()


async def _by_tcp(question: dns.message.Message, server: tuple[str, int], source: str | None) -> dns.message.Message:
    reader, writer = await asyncio.open_connection(*server, local_addr=(source, 0) if source else None)
    try:
        wire = question.to_wire()
        writer.write(struct.pack("!H", len(wire)) + wire)
        while True:
            (length,) = struct.unpack("!H", await reader.readexactly(2))
            message = _read(await reader.readexactly(length))
            if message is not None and question.is_response(message):
                return message
    finally:
        writer.close()
