"""Lab DNS: a name server on a loopback port that answers from a table (labs-and-ci.md 8).

It answers for every name: what the table does not hold does not exist. Aliases are answered alone, so that the asker has
to follow them. Answers over UDP that are longer than the asker takes are truncated. Faults are set per name and type.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from typing import Literal, cast

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from attrs import frozen
from dns.rdatatype import RdataType

import appliance_runtime.dns.odd_records  # noqa: F401 for its effect on the parser

Fault = Literal["servfail", "refused", "timeout", "nxdomain", "nodata"]
DEFAULT_TTL = 3600


@frozen(kw_only=True)
class Query:
    """A question that arrived. `transport`: udp or tcp."""

    name: str
    kind: str
    do: bool
    cd: bool
    transport: str


class LabDns:
    """`address`, `port`: where it answers, once started."""

    def __init__(self, *lines: str) -> None:
        """`lines`: records as `set` takes them."""
        self.queries: list[Query] = []
        self.address = "127.0.0.1"
        self.port = 0
        self._records: dict[tuple[dns.name.Name, RdataType], dns.rrset.RRset] = {}
        self._faults: dict[tuple[dns.name.Name, RdataType], Fault] = {}
        self._transport: asyncio.DatagramTransport | None = None
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        for line in lines:
            self.set(line)

    def set(self, line: str) -> None:
        """Add a record: `NAME [TTL] TYPE DATA`, names absolute with or without the last dot. Errors: ValueError."""
        name, *words = line.split()
        ttl = int(words.pop(0)) if words and words[0].isdigit() else DEFAULT_TTL
        if len(words) < 2:
            raise ValueError(line)
        owner, kind = dns.name.from_text(name).canonicalize(), dns.rdatatype.from_text(words[0])
        try:
            data = dns.rdata.from_text(dns.rdataclass.IN, kind, " ".join(words[1:]), origin=dns.name.root, relativize=False)
        except dns.exception.DNSException as error:
            raise ValueError(f"{line}: {error}") from error
        rrset = self._records.setdefault((owner, kind), dns.rrset.RRset(owner, dns.rdataclass.IN, kind))
        rrset.add(data, ttl)

    def remove(self, name: str, kind: str) -> None:
        """Remove the records of a name and type."""
        self._records.pop((dns.name.from_text(name).canonicalize(), dns.rdatatype.from_text(kind)), None)

    def fault(self, name: str, kind: str, fault: Fault | None) -> None:
        """Answer questions for `name` and `kind` so from now on; None = as the table says."""
        key = (dns.name.from_text(name).canonicalize(), dns.rdatatype.from_text(kind))
        if fault is None:
            self._faults.pop(key, None)
        else:
            self._faults[key] = fault

    def asked(self, name: str, kind: str) -> int:
        """How often a question has arrived."""
        return sum(1 for query in self.queries if (query.name, query.kind) == (name, kind))

    async def start(self, address: str = "127.0.0.1", port: int = 0) -> None:
        """Answer on UDP and TCP. Errors: OSError."""
        loop = asyncio.get_running_loop()
        self._server = await asyncio.start_server(self._serve_tcp, address, port)
        self.address, self.port = self._server.sockets[0].getsockname()[:2]
        transport, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), local_addr=(self.address, self.port))
        self._transport = transport

    async def stop(self) -> None:
        if self._transport is not None:
            self._transport.close()
        if self._server is not None:
            self._server.close()
            for writer in self._open:
                writer.close()
            await self._server.wait_closed()

    def answer(self, wire: bytes, transport: str) -> bytes | None:
        """The octets of the answer; None = none."""
        try:
            question = dns.message.from_wire(wire)
        except dns.exception.DNSException:
            return None
        response = dns.message.make_response(question, recursion_available=True)
        response.flags |= dns.flags.AA
        name, kind = question.question[0].name.canonicalize(), question.question[0].rdtype
        cd = bool(question.flags & dns.flags.CD)
        do = bool(question.ednsflags & dns.flags.DO)
        text = name.to_text(omit_final_dot=True)
        self.queries.append(Query(name=text, kind=dns.rdatatype.to_text(kind), do=do, cd=cd, transport=transport))
        fault = self._faults.get((name, kind))
        if fault == "timeout":
            return None
        self._fill(response, name, kind, fault)
        try:
            return response.to_wire(max_size=65535 if transport == "tcp" else max(question.payload, 512))
        except dns.exception.TooBig:
            short = dns.message.make_response(question, recursion_available=True)
            short.flags |= dns.flags.TC
            return short.to_wire()

    def _fill(self, response: dns.message.Message, name: dns.name.Name, kind: RdataType, fault: Fault | None) -> None:
        codes = {"servfail": dns.rcode.SERVFAIL, "refused": dns.rcode.REFUSED, "nxdomain": dns.rcode.NXDOMAIN}
        if fault is not None:
            response.set_rcode(codes.get(fault, dns.rcode.NOERROR))
            return
        records = self._records.get((name, kind)) or self._records.get((name, RdataType.CNAME))
        if records is not None:
            response.answer.append(records)
        elif not any(owner.is_subdomain(name) for owner, _ in self._records):
            response.set_rcode(dns.rcode.NXDOMAIN)

    async def _serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while True:
                (length,) = struct.unpack("!H", await reader.readexactly(2))
                answer = self.answer(await reader.readexactly(length), "tcp")
                if answer is not None:
                    writer.write(struct.pack("!H", len(answer)) + answer)
        except (EOFError, OSError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: LabDns) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        answer = self._server.answer(data, "udp")
        if answer is not None and self._transport is not None:
            self._transport.sendto(answer, addr)
