"""Lab DNS: a name server on a loopback port with signed and unsigned zones and faults (labs-and-ci.md 8).

It answers for every name: what no zone and no record holds does not exist. Aliases of single records are answered alone, so
that the asker has to follow them. Answers over UDP that are longer than the asker takes are truncated. Faults are set per
name and type.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal, cast, get_args

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
from appliance_runtime.dns.answers import Security
from asyncos_shell.lab.tlsa_lines import filled
from asyncos_shell.lab.zone_signing import Flaw, Signing
from asyncos_shell.lab.zone_tree import Composed, ZoneTree
from asyncos_shell.lab.zones import LabZone

Fault = Literal[
    "secure",
    "insecure",
    "bogus",
    "expired",
    "future",
    "wrong-key",
    "unsigned",
    "servfail",
    "refused",
    "timeout",
    "truncated",
    "nxdomain",
    "nodata",
    "forged-mx",
]
"""secure = none. insecure and nxdomain concern the name whatever the type; bogus to unsigned are flaws of signatures"""
DEFAULT_TTL = 3600
_FLAWS = get_args(Flaw)
_CODES: dict[str, dns.rcode.Rcode] = {"servfail": dns.rcode.SERVFAIL, "refused": dns.rcode.REFUSED, "nxdomain": dns.rcode.NXDOMAIN}
_PROOFS = (RdataType.RRSIG, RdataType.NSEC, RdataType.NSEC3)

Key = tuple[dns.name.Name, RdataType]


@frozen(kw_only=True)
class Query:
    """A question that arrived. `transport`: udp or tcp."""

    name: str
    kind: str
    do: bool
    cd: bool
    transport: str


class LabDns:
    """`address`, `port`: where it answers, once started.

    Names in `zones` are answered by them; all others by a table of records, for which the root has unsigned delegations.
    `validating`: answer as a resolver that validates: AD for what is secure, SERVFAIL for what is bogus unless asked with CD.
    """

    def __init__(self, *lines: str, now: Callable[[], datetime] = lambda: datetime.now(UTC), validating: bool = True) -> None:
        """`lines`: records as `set` takes them; `now`: the time for which signatures are made."""
        self.queries: list[Query] = []
        self.address = "127.0.0.1"
        self.port = 0
        self.validating = validating
        self._records: dict[Key, dns.rrset.RRset] = {}
        self._faults: dict[Key, tuple[Fault, str]] = {}
        self._tree = ZoneTree(now, self._flaw)
        self._withheld: dict[dns.name.Name, LabZone] = {}
        self._arranged = True
        self._transport: asyncio.DatagramTransport | None = None
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        for line in lines:
            self.set(line)

    # -- content ------------------------------------------------------------------------------------------------------

    @property
    def trust_anchor(self) -> str:
        """The key of the root, as a DS record."""
        signing = self._tree.root.signing
        assert signing is not None
        return f"{signing.ds(dns.name.root).to_text()}\n"

    def zone(
        self,
        name: str,
        text: str = "",
        signing: Signing | None = None,
        *,
        signed: bool = True,
        chains: Mapping[str, Sequence[bytes]] | None = None,
    ) -> None:
        """A zone in master-file text, delegated by the zone around it; signed in the plain way unless said otherwise.

        `chains`: what peers send, DER, for `{{ tlsa 3 1 1 mx1 }}` in the text. Errors: ValueError."""
        text = filled(text, chains or {})
        self._tree.declare(LabZone.of(name, text, signing or Signing() if signed else None))
        self._arranged = False

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
        zone = self._tree.zone_of(owner)
        if zone is not self._tree.root:
            zone.add(dns.rrset.from_rdata(owner, ttl, data))
            return
        rrset = self._records.setdefault((owner, kind), dns.rrset.RRset(owner, dns.rdataclass.IN, kind))
        rrset.add(data, ttl)
        self._arranged = False

    def _arrange(self) -> None:
        """Delegations, made when they are needed: many records may come before a question."""
        if not self._arranged:
            self._tree.arrange(owner for owner, _ in self._records)
            self._arranged = True

    def remove(self, name: str, kind: str) -> None:
        """Remove the records of a name and type."""
        owner, rdtype = _key(name, kind)
        self._records.pop((owner, rdtype), None)
        self._tree.zone_of(owner).remove(owner, rdtype)

    def fault(self, name: str, kind: str, fault: Fault | None, host: str = ".") -> None:
        """Answer questions for `name` and `kind` so from now on; None = as the table says. `host`: the one of forged-mx.

        Errors: ValueError, where a name outside of the zones cannot have the fault."""
        self._arrange()
        key = _key(name, kind)
        old, _ = self._faults.pop(key, ("secure", ""))
        self._switch(key, old, on=False)
        if fault is None or fault == "secure":
            return
        if not self._tree.covers(*key) and fault in _FLAWS:
            raise ValueError(f"{name} is in no signed zone")
        self._switch(key, fault, on=True)
        self._faults[key] = fault, host

    def _switch(self, key: Key, fault: Fault, *, on: bool) -> None:
        """Faults that change the zones, so that what proves them is changed too."""
        name, kind = key
        if fault == "insecure":
            (self._tree.part if on else self._tree.join)(name)
        elif fault == "nodata":
            self._tree.zone_of(name).hide(name, kind, hidden=on)
        elif fault == "nxdomain" and on and self._tree.zone_of(name).name == name != dns.name.root:
            self._withheld[name] = self._tree.withhold(name)
        elif fault == "nxdomain" and name in self._withheld:
            self._tree.declare(self._withheld.pop(name))
        elif fault == "nxdomain":
            self._tree.zone_of(name).hide(name, None, hidden=on)

    def _flaw(self, name: dns.name.Name, kind: RdataType) -> Flaw | None:
        fault, _ = self._faults.get((name, kind), ("secure", ""))
        return cast(Flaw, fault) if fault in _FLAWS else None

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
            for writer in self._open.values():
                writer.close()
            await self._server.wait_closed()
            await asyncio.gather(*self._open)

    def answer(self, wire: bytes, transport: str) -> bytes | None:
        """The octets of the answer; None = none."""
        try:
            question = dns.message.from_wire(wire)
        except dns.exception.DNSException:
            return None
        self._arrange()
        name, kind = question.question[0].name.canonicalize(), question.question[0].rdtype
        cd = bool(question.flags & dns.flags.CD)
        do = bool(question.ednsflags & dns.flags.DO)
        text = name.to_text(omit_final_dot=True)
        self.queries.append(Query(name=text, kind=dns.rdatatype.to_text(kind), do=do, cd=cd, transport=transport))
        fault, host = self._faults.get((name, kind), ("secure", ""))
        if fault == "timeout":
            return None
        if fault == "truncated" and transport == "udp":
            return _truncated(question)
        response = dns.message.make_response(question, recursion_available=True)
        response.flags |= dns.flags.AA
        if fault in ("servfail", "refused"):
            response.set_rcode(_CODES[fault])
        elif self._tree.covers(name, kind):
            self._from_zones(response, question, name, kind, host if fault == "forged-mx" else None)
        else:
            self._from_table(response, name, kind, fault, host)
        try:
            return response.to_wire(max_size=65535 if transport == "tcp" else max(question.payload, 512))
        except dns.exception.TooBig:
            return _truncated(question)

    def _from_zones(
        self, response: dns.message.Message, question: dns.message.Message, name: dns.name.Name, kind: RdataType, forged: str | None
    ) -> None:
        made = self._tree.compose(name, kind)
        if forged is not None:
            unsigned = self._tree.security(self._tree.zone_of(name)) is Security.INSECURE
            made = Composed(answer=[_mx(name, forged)], security=Security.INSECURE if unsigned else Security.BOGUS)
        do, ad = bool(question.ednsflags & dns.flags.DO), bool(question.flags & dns.flags.AD)
        if self.validating and made.security is Security.BOGUS and not question.flags & dns.flags.CD:
            response.set_rcode(dns.rcode.SERVFAIL)
            return
        if self.validating and made.security is Security.SECURE and (do or ad):
            response.flags |= dns.flags.AD
        response.set_rcode(made.rcode)
        response.answer += [rrset for rrset in made.answer if do or rrset.rdtype not in _PROOFS]
        response.authority += [rrset for rrset in made.authority if do or rrset.rdtype not in _PROOFS]

    def _from_table(self, response: dns.message.Message, name: dns.name.Name, kind: RdataType, fault: Fault, host: str) -> None:
        records = self._records.get((name, kind)) or self._records.get((name, RdataType.CNAME))
        if fault == "forged-mx":
            records = _mx(name, host)
        if fault in ("nxdomain", "nodata"):
            response.set_rcode(_CODES.get(fault, dns.rcode.NOERROR))
        elif records is not None:
            response.answer.append(records)
        elif not any(owner.is_subdomain(name) for owner, _ in self._records):
            response.set_rcode(dns.rcode.NXDOMAIN)

    async def _serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = writer
        try:
            while True:
                (length,) = struct.unpack("!H", await reader.readexactly(2))
                answer = self.answer(await reader.readexactly(length), "tcp")
                if answer is not None:
                    writer.write(struct.pack("!H", len(answer)) + answer)
        except (EOFError, OSError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            del self._open[task]


def _key(name: str, kind: str) -> Key:
    return dns.name.from_text(name).canonicalize(), dns.rdatatype.from_text(kind)


def _mx(name: dns.name.Name, host: str) -> dns.rrset.RRset:
    return dns.rrset.from_text(name, DEFAULT_TTL, dns.rdataclass.IN, RdataType.MX, f"0 {dns.name.from_text(host)}")


def _truncated(question: dns.message.Message) -> bytes:
    short = dns.message.make_response(question, recursion_available=True)
    short.flags |= dns.flags.TC
    return short.to_wire()


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
