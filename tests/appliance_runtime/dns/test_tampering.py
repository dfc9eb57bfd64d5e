"""Whoever changes answers on their way gets nothing but bogus ones out of them.

Answers of the lab are changed at random, those about keys and delegations too: records left out, replayed from other names,
renamed, given other data, stripped of signatures, the response code turned. What is then called secure must be the truth, and
what is called insecure must lie below an unsigned delegation.
"""

from __future__ import annotations

import random

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rrset
import pytest
from dns.rdatatype import RdataType

from appliance_runtime.addresses import AddressMap
from appliance_runtime.clock import FakeClock
from appliance_runtime.dns.answers import LookupFailed, Security
from appliance_runtime.dns.resolver import Resolver
from appliance_runtime.dns.trust_anchors import parse_anchors
from appliance_state.model.dns import Dns, DnsServer
from appliance_state.table import Table
from asyncos_shell.lab.dns_server import LabDns
from asyncos_shell.lab.zone_signing import Nsec3, Signing
from tests.appliance_runtime.dns.test_validation import NOW
from tests.support.dnssec_zones import BODY

ZONES = {
    "nsec.test": Signing(),
    "nsec3.test": Signing(nsec3=Nsec3(iterations=1, salt=b"\xaa")),
    "optout.test": Signing(nsec3=Nsec3(opt_out=True)),
}
HOSTS = (
    "", "mx", "_25._tcp.mx", "alias", "chain", "far", "away", "nowhere", "x.wild", "exact.wild", "x.wildalias", "mid", "empty.mid",
    "deep.empty.mid", "host.old", "no.old", "mx.moved", "no-such", "a.b.no-such", "signed", "www.signed", "no.signed", "unsigned",
    "www.unsigned", "no.unsigned", "x.mx", "x.www.signed",
)  # fmt: skip
KINDS = (RdataType.A, RdataType.MX, RdataType.TLSA)
Truth = tuple[str, tuple[str, ...], str]
"""absence, records, canonical name"""


class Tampering(LabDns):
    """Changes what it answers while `rng` is set."""

    rng: random.Random | None = None

    def answer(self, wire: bytes, transport: str) -> bytes | None:
        octets = super().answer(wire, transport)
        if octets is None or self.rng is None or self.rng.random() < 0.3:
            return octets
        message = dns.message.from_wire(octets)
        for _ in range(self.rng.choice((1, 1, 2))):
            self._change(message, self.rng)
        try:
            return message.to_wire(max_size=65535 if transport == "tcp" else 1232)
        except dns.exception.TooBig:
            return octets

    def _change(self, message: dns.message.Message, rng: random.Random) -> None:
        asked = message.question[0]
        section = rng.choice([section for section in (message.answer, message.authority) if section] or [message.answer])
        match rng.randrange(9):
            case 0 if section:
                section.remove(rng.choice(section))
            case 1:
                section[:] = [rrset for rrset in section if rrset.rdtype != RdataType.RRSIG]
            case 2:
                message.set_rcode(rng.choice((dns.rcode.NOERROR, dns.rcode.NXDOMAIN)))
            case 3:
                section.clear()
            case 4 if section:
                rrset = rng.choice(section)
                rrset.name = dns.name.from_text("x", asked.name) if rng.random() < 0.5 else asked.name
            case 5:
                for rrset in [rrset for rrset in message.answer if rrset.rdtype == RdataType.A]:
                    message.answer.remove(rrset)
                    message.answer.append(dns.rrset.from_text(rrset.name, rrset.ttl, "IN", "A", "127.6.6.6"))
            case 6:
                kind, data = ("A", "127.6.6.6") if asked.rdtype == RdataType.A and rng.random() < 0.5 else ("CNAME", "evil.test.")
                message.answer.append(dns.rrset.from_text(asked.name, 60, "IN", kind, data))
            case _:
                self._replay(message, rng)

    def _replay(self, message: dns.message.Message, rng: random.Random) -> None:
        """Genuine records of another name in place of these, or beside them."""
        name = dns.name.from_text(f"{rng.choice(HOSTS)}.{rng.choice(list(ZONES))}".lstrip("."))
        made = self._tree.compose(name, rng.choice((*KINDS, RdataType.DS)))
        if rng.random() < 0.5:
            message.answer.clear()
            message.authority.clear()
        rename = rng.random() < 0.5
        for section, added in ((message.answer, made.answer), (message.authority, made.authority)):
            for rrset in added:
                owner = message.question[0].name if rename and section is message.answer else rrset.name
                if not any((one.name, one.rdtype, one.covers) == (owner, rrset.rdtype, rrset.covers) for one in section):
                    section.append(dns.rrset.from_rdata_list(owner, rrset.ttl, list(rrset)))


def resolver_of(lab: LabDns, net_timeout_scale: float = 1.0) -> Resolver:
    settings = Dns(servers=Table([DnsServer(address=lab.address, port=lab.port)]))
    return Resolver(settings, FakeClock(NOW), AddressMap(), net_timeout_scale=net_timeout_scale, anchors=parse_anchors(lab.trust_anchor))


async def found(resolver: Resolver, name: str, kind: RdataType) -> tuple[Security, Truth]:
    answer = await resolver.lookup(name, kind, dnssec=True)
    return answer.security, (answer.absence, tuple(sorted(map(str, answer.records))), answer.canonical_name)


@pytest.mark.parametrize("seed", range(2))
async def test_what_was_changed_is_never_believed(seed: int) -> None:
    lab = Tampering(now=lambda: NOW)
    for name, signing in ZONES.items():
        lab.zone(name, BODY, signing)
        lab.zone(f"signed.{name}", "@ A 127.0.10.2\nwww A 127.0.10.3")
        lab.zone(f"unsigned.{name}", "@ A 127.0.10.4\nwww A 127.0.10.5", signed=False)
    lab.zone("second.test", "mx A 127.0.10.21")
    lab.zone("plain.test", "mx A 127.0.10.22", signed=False)
    lab.zone("wrong-ds.test", "mx A 127.0.10.24")
    await lab.start()
    try:
        questions = [(f"{host}.{zone}".lstrip("."), kind) for zone in ZONES for host in HOSTS for kind in KINDS]
        truth = {question: await found(resolver_of(lab), *question) for question in questions}
        lab.rng = random.Random(seed)
        resolver = resolver_of(lab, 0.03)  # what is no message any more is waited for in vain
        believed = {Security.SECURE: 0, Security.INSECURE: 0, Security.BOGUS: 0}
        for question in questions:
            if lab.rng.random() < 0.3:
                resolver.flush()
            try:
                security, what = await found(resolver, *question)
            except LookupFailed as failed:
                believed[Security.BOGUS] += failed.bogus
                continue
            believed[security] += 1
            real, real_what = truth[question]
            if security is Security.SECURE:
                assert what == real_what, question
            else:
                # With opt-out an unsigned delegation can be made up wherever no name is (RFC 5155 12.2).
                assert real is Security.INSECURE or "optout.test" in question[0], (question, what)
        assert min(believed.values()) > 10, believed
    finally:
        await lab.stop()


class Overzealous(LabDns):
    """Adds a signature of the zone above to what an unsigned zone says."""

    def answer(self, wire: bytes, transport: str) -> bytes | None:
        octets = super().answer(wire, transport)
        assert octets is not None
        message = dns.message.from_wire(octets)
        if message.question[0].name == dns.name.from_text("mx.plain.nsec.test"):
            made = self._tree.compose(dns.name.from_text("mx.nsec.test"), RdataType.A)
            for section in (message.answer, message.authority):
                section += [dns.rrset.from_rdata_list(section[0].name, 60, list(made.answer[1]))] if section else []
        return message.to_wire()


async def test_a_signature_that_means_nothing_does_not_make_unsigned_data_bogus() -> None:
    lab = Overzealous(now=lambda: NOW)
    lab.zone("nsec.test", "mx A 127.0.0.1")
    lab.zone("plain.nsec.test", "mx A 127.0.0.2", signed=False)
    await lab.start()
    try:
        resolver = resolver_of(lab)
        assert await found(resolver, "mx.plain.nsec.test", RdataType.A) == (
            Security.INSECURE,
            ("", ("127.0.0.2",), "mx.plain.nsec.test"),
        )
    finally:
        await lab.stop()
