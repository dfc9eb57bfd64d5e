"""The validator over real sockets: every kind of zone and flaw of the lab, what is asked for it, and the bounds of its work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import dns.flags
import dns.message
import dns.rrset
import pytest
from dns.rdatatype import RdataType

from appliance_runtime.addresses import AddressMap
from appliance_runtime.clock import FakeClock
from appliance_runtime.dns.answers import LookupFailed, Security
from appliance_runtime.dns.resolver import Resolver
from appliance_runtime.dns.trust_anchors import parse_anchors
from appliance_runtime.dns.validation import MAX_RRSETS
from appliance_state.model.dns import AlternateServer, Dns, DnssecMode, DnsServer
from appliance_state.table import Table
from asyncos_shell.lab.dns_server import LabDns
from asyncos_shell.lab.zone_signing import Nsec3, Signing
from tests.support.dnssec_zones import build, expected, verdict_of

NOW = datetime(2026, 3, 6, 9, 0, tzinfo=UTC)
SERVER = "192.0.2.53"
OTHER = "192.0.2.54"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


@pytest.fixture
async def lab(clock: FakeClock) -> AsyncIterator[LabDns]:
    server = LabDns(now=clock.now)
    await server.start()
    yield server
    await server.stop()


def resolver_of(
    lab: LabDns, clock: FakeClock, mode: DnssecMode = DnssecMode.VALIDATE, *, scale: float = 1.0, **settings: object
) -> Resolver:
    settings = {"servers": Table([DnsServer(address=SERVER)]), "dnssec_mode": mode} | settings
    address_map = AddressMap.parse([f"{SERVER}:53={lab.address}:{lab.port}"])
    return Resolver(Dns(**settings), clock, address_map, net_timeout_scale=scale, anchors=parse_anchors(lab.trust_anchor))  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", [DnssecMode.VALIDATE, DnssecMode.TRUST_AD])
async def test_every_name_of_the_zones(clock: FakeClock, mode: DnssecMode) -> None:
    """The verdicts of the table, by our own validation and by the AD flag of a server that validates."""
    server = build(now=clock.now, validating=mode is DnssecMode.TRUST_AD)
    await server.start()
    try:
        resolver = resolver_of(server, clock, mode)
        wrong = []
        for name, kind, verdict in expected():
            found = await verdict_of(resolver, name, kind)
            if found != verdict:
                wrong.append(f"{name} {kind.name}: {found}, expected {verdict}")
        assert wrong == []
    finally:
        await server.stop()


async def test_every_question_for_a_status_has_do_and_cd(lab: LabDns, clock: FakeClock) -> None:
    lab.zone("d.test", "@ MX 10 mx")
    assert (await resolver_of(lab, clock).mx("d.test", dnssec=True)).security is Security.SECURE
    assert [(query.name, query.kind) for query in lab.queries] == [
        ("d.test", "MX"),
        (".", "DNSKEY"),
        ("test", "DS"),
        ("d.test", "DS"),
        ("d.test", "DNSKEY"),
    ]
    assert all(query.do and query.cd for query in lab.queries)


async def test_keys_are_asked_for_once_for_all_who_wait(lab: LabDns, clock: FakeClock) -> None:
    lab.zone("d.test", "\n".join(f"mx{n} A 127.0.0.{n}" for n in range(1, 20)))
    resolver = resolver_of(lab, clock)
    await asyncio.gather(*(resolver.addresses(f"mx{n}.d.test", dnssec=True) for n in range(1, 20)))
    assert [lab.asked(name, kind) for name, kind in ((".", "DNSKEY"), ("test", "DS"), ("d.test", "DS"), ("d.test", "DNSKEY"))] == [1] * 4
    resolver.flush()
    await resolver.addresses("mx1.d.test", dnssec=True)
    assert lab.asked("d.test", "DNSKEY") == 2


async def test_an_answer_does_not_outlive_its_signature(lab: LabDns, clock: FakeClock) -> None:
    lab.zone("d.test", "@ 2000000 MX 10 mx")
    resolver = resolver_of(lab, clock)
    answer = await resolver.mx("d.test", dnssec=True)
    assert answer.expires == NOW + timedelta(days=14)


async def test_keys_are_kept_as_long_as_their_ttl(lab: LabDns, clock: FakeClock) -> None:
    lab.zone("d.test", "a A 127.0.0.1\nb A 127.0.0.2\nc A 127.0.0.3")
    resolver = resolver_of(lab, clock)
    await resolver.addresses("a.d.test", dnssec=True)
    await clock.advance(3599)
    await resolver.addresses("b.d.test", dnssec=True)
    assert lab.asked("d.test", "DNSKEY") == 1
    await clock.advance(1)
    await resolver.addresses("c.d.test", dnssec=True)
    assert lab.asked("d.test", "DNSKEY") == 2


async def test_time_is_the_clock_of_the_appliance() -> None:
    """Signatures of today are over in a year on the appliance clock, without a restart."""
    clock = FakeClock(NOW)
    frozen = LabDns(now=lambda: NOW)
    frozen.zone("d.test", "@ MX 10 mx")
    await frozen.start()
    try:
        resolver = resolver_of(frozen, clock)
        assert (await resolver.mx("d.test", dnssec=True)).security is Security.SECURE
        await clock.advance(365 * 86400)
        with pytest.raises(LookupFailed) as failed:
            await resolver.mx("d.test", dnssec=True)
        assert (failed.value.security, failed.value.reason) == (Security.BOGUS, "signature of . DNSKEY has expired")
        assert str(failed.value) == "DNS Temporary Failure d.test MX - ServFail"
    finally:
        await frozen.stop()


@pytest.mark.parametrize(("fault", "failure"), [("servfail", "ServFail"), ("refused", "Refused"), ("timeout", "Timeout")])
@pytest.mark.parametrize(("name", "kind"), [("d.test", "MX"), ("d.test", "DS"), ("d.test", "DNSKEY"), (".", "DNSKEY")])
async def test_what_cannot_be_asked_has_failed_and_is_not_bogus(
    lab: LabDns, clock: FakeClock, name: str, kind: str, fault: str, failure: str
) -> None:
    lab.zone("d.test", "@ MX 10 mx")
    lab.fault(name, kind, fault)  # type: ignore[arg-type]
    resolver = resolver_of(lab, clock, scale=0.03 if fault == "timeout" else 1.0)
    with pytest.raises(LookupFailed) as failed:
        await resolver.mx("d.test", dnssec=True)
    assert (str(failed.value), failed.value.bogus) == (f"DNS Temporary Failure d.test MX - {failure}", False)
    lab.fault(name, kind, None)
    assert (await resolver_of(lab, clock).mx("d.test", dnssec=True)).security is Security.SECURE


async def test_failed_and_bogus_answers_are_not_kept(lab: LabDns, clock: FakeClock) -> None:
    lab.zone("d.test", "_25._tcp.mx TLSA 3 1 1 " + "ab" * 32)
    lab.fault("_25._tcp.mx.d.test", "TLSA", "expired")
    resolver = resolver_of(lab, clock)
    answer = await resolver.tlsa("_25._tcp.mx.d.test")
    assert (answer.status, answer.security, answer.reason) == (
        "bogus",
        Security.BOGUS,
        "signature of _25._tcp.mx.d.test TLSA has expired",
    )
    lab.fault("_25._tcp.mx.d.test", "TLSA", "secure")
    answer = await resolver.tlsa("_25._tcp.mx.d.test")
    assert (answer.status, answer.security, len(answer.records)) == ("found", Security.SECURE, 1)


async def test_a_server_without_dnssec_gives_nothing_but_bogus_answers(clock: FakeClock) -> None:
    """It does not hand on signatures; so the zone of the root is stripped already."""
    server = LabDns(now=clock.now)
    server.zone("d.test", "@ MX 10 mx")
    server.fault(".", "DNSKEY", "unsigned")
    await server.start()
    try:
        with pytest.raises(LookupFailed) as failed:
            await resolver_of(server, clock).mx("d.test", dnssec=True)
        assert failed.value.reason == "no signature of . DNSKEY"
    finally:
        await server.stop()


async def test_forged_exchangers_are_bogus_in_a_signed_zone_only(lab: LabDns, clock: FakeClock) -> None:
    lab.zone("d.test", "@ MX 10 mx")
    lab.zone("u.test", "@ MX 10 mx", signed=False)
    for domain in ("d.test", "u.test"):
        lab.fault(domain, "MX", "forged-mx", "evil.test")
    resolver = resolver_of(lab, clock)
    with pytest.raises(LookupFailed) as failed:
        await resolver.mx("d.test", dnssec=True)
    assert failed.value.reason == "no signature of d.test MX"
    answer = await resolver.mx("u.test", dnssec=True)
    assert (answer.security, answer.exchangers[0].host) == (Security.INSECURE, "evil.test")


@pytest.mark.parametrize("mode", [DnssecMode.VALIDATE, DnssecMode.TRUST_AD])
async def test_the_alias_of_a_host_may_be_secure_where_it_leads_may_not(lab: LabDns, clock: FakeClock, mode: DnssecMode) -> None:
    """RFC 7672 2.1.1: its own record decides whether TLSA records at the name of the host count."""
    lab.zone("d.test", "away CNAME mx.plain.test.\nalias CNAME mx\nmx A 127.0.0.1\nold DNAME plain.test.")
    lab.zone("plain.test", "mx A 127.0.0.2\nback CNAME mx.d.test.", signed=False)
    resolver = resolver_of(lab, clock, mode)
    found = {}
    for host in ("away.d.test", "mx.old.d.test", "alias.d.test", "mx.d.test", "back.plain.test", "mx.plain.test"):
        answer = await resolver.addresses(host, dnssec=True)
        found[host] = (answer.alias, answer.security, answer.canonical_name)
    assert found == {
        "away.d.test": (Security.SECURE, Security.INSECURE, "mx.plain.test"),
        "mx.old.d.test": (Security.SECURE, Security.INSECURE, "mx.plain.test"),
        "alias.d.test": (Security.SECURE, Security.SECURE, "mx.d.test"),
        "mx.d.test": (None, Security.SECURE, "mx.d.test"),
        "back.plain.test": (Security.INSECURE, Security.INSECURE, "mx.d.test"),
        "mx.plain.test": (None, Security.INSECURE, "mx.plain.test"),
    }


async def test_one_secure_family_is_enough_and_the_other_is_not_used(lab: LabDns, clock: FakeClock) -> None:
    lab.zone("d.test", "mx A 127.0.0.1\nmx AAAA 2001:db8::1")
    resolver = resolver_of(lab, clock)
    both = await resolver.addresses("mx.d.test", dnssec=True)
    assert (both.security, both.secure_addresses) == (Security.SECURE, ("2001:db8::1", "127.0.0.1"))
    lab.fault("mx.d.test", "AAAA", "bogus")
    resolver.flush()
    one = await resolver.addresses("mx.d.test", dnssec=True)
    assert (one.security, one.addresses, one.secure_addresses) == (Security.SECURE, ("127.0.0.1",), ("127.0.0.1",))
    lab.fault("mx.d.test", "A", "bogus")
    resolver.flush()
    with pytest.raises(LookupFailed) as failed:
        await resolver.addresses("mx.d.test", dnssec=True)
    assert failed.value.bogus


async def test_the_zone_above_is_asked_for_a_delegation(lab: LabDns, clock: FakeClock) -> None:
    """The server of an alternate domain answers for its zone; the DS records of that zone are not in it (RFC 4035 3.1.4.1)."""
    lab.zone("d.test", "@ MX 10 mx")
    own = LabDns(now=clock.now)
    own.zone("d.test", "@ MX 10 elsewhere")
    await own.start()
    try:
        settings = Dns(servers=Table([DnsServer(address=SERVER)]), alternates=Table([AlternateServer(domain="d.test", address=OTHER)]))
        address_map = AddressMap.parse([f"{SERVER}:53={lab.address}:{lab.port}", f"{OTHER}:53={own.address}:{own.port}"])
        resolver = Resolver(settings, clock, address_map, anchors=parse_anchors(lab.trust_anchor))
        with pytest.raises(LookupFailed, match="ServFail"):  # it has other keys than the delegation names
            await resolver.mx("d.test", dnssec=True)
        assert (lab.asked("d.test", "DS"), own.asked("d.test", "DS")) == (1, 0)
        assert (lab.asked("d.test", "DNSKEY"), own.asked("d.test", "DNSKEY")) == (0, 1)
    finally:
        await own.stop()


async def test_long_answers_come_by_tcp(lab: LabDns, clock: FakeClock) -> None:
    lab.zone("d.test", "\n".join(f"@ MX {n} a-rather-long-name-of-a-host-{n}" for n in range(60)))
    lab.fault("d.test", "DS", "truncated")
    answer = await resolver_of(lab, clock).mx("d.test", dnssec=True)
    assert (answer.security, len(answer.exchangers)) == (Security.SECURE, 60)
    assert {(query.kind, query.transport) for query in lab.queries if query.name == "d.test"} >= {("MX", "tcp"), ("DS", "tcp")}


# -- bounds ---------------------------------------------------------------------------------------------------------------


async def test_a_name_with_very_many_labels_is_not_followed(lab: LabDns, clock: FakeClock) -> None:
    deep = ".".join("a" * 60)
    lab.zone("d.test", f"{deep} A 127.0.0.1")
    lab.fault(f"{deep}.d.test", "A", "unsigned")
    with pytest.raises(LookupFailed) as failed:
        await resolver_of(lab, clock).addresses(f"{deep}.d.test", dnssec=True)
    assert failed.value.reason.endswith("has too many labels")
    assert not lab.asked("a.d.test", "DS")


async def test_a_ring_of_aliases_ends(lab: LabDns, clock: FakeClock) -> None:
    lab.zone("d.test", "one CNAME two\ntwo CNAME one\nown DNAME own.own")
    resolver = resolver_of(lab, clock)
    for name in ("one.d.test", "x.own.d.test"):
        with pytest.raises(LookupFailed):
            await resolver.addresses(name, dnssec=True)
    assert len(lab.queries) < 20


async def test_hashing_a_deep_name_ends(lab: LabDns, clock: FakeClock) -> None:
    """Names in a zone with many iterations cost hashes; they are bounded for each answer."""
    lab.zone("d.test", "@ MX 10 mx", Signing(nsec3=Nsec3(iterations=150)))
    name = ".".join("a" * 40) + ".d.test"
    answer = await resolver_of(lab, clock).lookup(name, RdataType.A, dnssec=True)
    assert (answer.absence, answer.security) == ("NXDomain", Security.SECURE)
    with pytest.raises(LookupFailed) as failed:
        await resolver_of(lab, clock).lookup(".".join("a" * 100) + ".d.test", RdataType.A, dnssec=True)
    assert failed.value.reason == "checking the answer takes too many hashes"


async def test_an_answer_of_very_many_parts_is_not_looked_through(lab: LabDns, clock: FakeClock) -> None:
    lab.zone("d.test", "@ MX 10 mx")

    class Crowded(LabDns):
        def answer(self, wire: bytes, transport: str) -> bytes | None:
            message = dns.message.from_wire(lab.answer(wire, "tcp") or b"")
            if message.question[0].rdtype == RdataType.MX:
                message.authority += [dns.rrset.from_text(f"n{n}.d.test.", 60, "IN", "NSEC", "d.test. A") for n in range(MAX_RRSETS)]
            if transport == "udp":
                message.flags |= dns.flags.TC
                for section in (message.answer, message.authority):
                    section.clear()
            return message.to_wire()

    server = Crowded()
    await server.start()
    try:
        resolver = resolver_of(server, clock)
        with pytest.raises(LookupFailed) as failed:
            await resolver.mx("d.test", dnssec=True)
        assert failed.value.reason == "the answer to d.test MX has too many parts"
    finally:
        await server.stop()
