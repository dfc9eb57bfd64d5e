"""The resolver against a name server on a real port: answers, absence, failures, order of servers, cache."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import ClassVar, cast

import pytest

from appliance_runtime.addresses import AddressMap
from appliance_runtime.clock import FakeClock
from appliance_runtime.dns.answers import LookupFailed, MailExchanger
from appliance_runtime.dns.resolver import Resolver
from appliance_runtime.dns.upstream import AT_ONCE
from appliance_state.model.destinations import IpSortPref
from appliance_state.model.dns import AlternateServer, Dns, DnsServer
from appliance_state.table import Table
from asyncos_shell.lab.dns_server import LabDns

NOW = datetime(2026, 3, 6, 9, 0, tzinfo=UTC)
SERVER = "192.0.2.53"
OTHER = "192.0.2.54"


@pytest.fixture
async def lab_dns() -> AsyncIterator[LabDns]:
    server = LabDns(
        "d.test MX 20 mx2.d.test.",
        "d.test 60 MX 10 MX1.d.test.",
        "mx1.d.test A 127.0.10.11",
        "mx1.d.test AAAA 2001:db8::11",
        "mx2.d.test A 127.0.10.12",
        "null.test MX 0 .",
        "nomx.test A 127.0.10.13",
        "alias.test CNAME second.test.",
        "second.test CNAME mx1.d.test.",
        "loop.test CNAME loop2.test.",
        "loop2.test CNAME loop.test.",
        "11.10.0.127.in-addr.arpa PTR mx1.d.test.",
        "12.10.0.127.in-addr.arpa PTR mx1.d.test.",
    )
    await server.start()
    yield server
    await server.stop()


def resolver_of(*servers: LabDns, clock: FakeClock | None = None, **settings: object) -> Resolver:
    """A resolver whose server SERVER is the first of `servers`, OTHER the second."""
    addresses = (SERVER, OTHER)[: len(servers)]
    rules = [f"{a}:53={s.address}:{s.port}" for a, s in zip(addresses, servers, strict=True)]
    settings = {"servers": Table(DnsServer(address=a, priority=n) for n, a in enumerate(addresses))} | settings
    return Resolver(Dns(**settings), clock or FakeClock(NOW), AddressMap.parse(rules), net_timeout_scale=0.03)  # type: ignore[arg-type]


async def test_exchangers_by_preference(lab_dns: LabDns) -> None:
    answer = await resolver_of(lab_dns).mx("D.test.")
    assert answer.exchangers == (MailExchanger(preference=10, host="mx1.d.test"), MailExchanger(preference=20, host="mx2.d.test"))
    assert not answer.null


async def test_null_mx(lab_dns: LabDns) -> None:
    assert (await resolver_of(lab_dns).mx("null.test")).null


async def test_absence_is_told_apart(lab_dns: LabDns) -> None:
    resolver = resolver_of(lab_dns)
    assert (await resolver.mx("nomx.test")).absence == "NoData"
    assert (await resolver.mx("no-such.test")).absence == "NXDomain"
    assert (await resolver.addresses("d.test")).absence == "NoData"
    assert (await resolver.addresses("no-such.test")).absence == "NXDomain"
    assert (await resolver.mx("a..test")).absence == "NXDomain"
    assert (await resolver.mx(f"{'x' * 64}.test")).absence == "NXDomain"


@pytest.mark.parametrize(
    ("preference", "expected"),
    [
        (IpSortPref.PREFER_V6, ("2001:db8::11", "127.0.10.11")),
        (IpSortPref.PREFER_V4, ("127.0.10.11", "2001:db8::11")),
        (IpSortPref.REQUIRE_V6, ("2001:db8::11",)),
        (IpSortPref.REQUIRE_V4, ("127.0.10.11",)),
    ],
)
async def test_addresses_in_the_preferred_order(lab_dns: LabDns, preference: IpSortPref, expected: tuple[str, ...]) -> None:
    assert (await resolver_of(lab_dns).addresses("mx1.d.test", preference)).addresses == expected


@pytest.mark.parametrize(("fault", "failure"), [("servfail", "ServFail"), ("refused", "Refused"), ("timeout", "Timeout")])
async def test_failures(lab_dns: LabDns, fault: str, failure: str) -> None:
    lab_dns.fault("d.test", "MX", fault)  # type: ignore[arg-type]
    with pytest.raises(LookupFailed) as raised:
        await resolver_of(lab_dns).mx("d.test")
    assert str(raised.value) == f"DNS Temporary Failure d.test MX - {failure}"


async def test_one_family_is_enough(lab_dns: LabDns) -> None:
    lab_dns.fault("mx1.d.test", "AAAA", "servfail")
    assert (await resolver_of(lab_dns).addresses("mx1.d.test")).addresses == ("127.0.10.11",)


async def test_no_family_at_all_is_a_failure_not_absence(lab_dns: LabDns) -> None:
    lab_dns.fault("mx2.d.test", "A", "servfail")
    with pytest.raises(LookupFailed, match=r"mx2\.d\.test A - ServFail"):
        await resolver_of(lab_dns).addresses("mx2.d.test")


async def test_aliases_are_followed(lab_dns: LabDns) -> None:
    assert (await resolver_of(lab_dns).addresses("alias.test", IpSortPref.REQUIRE_V4)).addresses == ("127.0.10.11",)
    with pytest.raises(LookupFailed):
        await resolver_of(lab_dns).addresses("loop.test")


async def test_truncated_answers_are_asked_for_by_tcp(lab_dns: LabDns) -> None:
    for number in range(60):
        lab_dns.set(f"big.test MX {number} a-rather-long-name-of-a-host-{number}.big.test.")
    assert len((await resolver_of(lab_dns).mx("big.test")).exchangers) == 60
    assert [query.transport for query in lab_dns.queries] == ["udp", "tcp"]


async def test_answers_are_kept_for_the_minimum_ttl(lab_dns: LabDns) -> None:
    clock = FakeClock(NOW)
    resolver = resolver_of(lab_dns, clock=clock, min_ttl=1800)
    await resolver.mx("d.test")
    await clock.advance(1799)
    await resolver.mx("d.test")
    assert lab_dns.asked("d.test", "MX") == 1
    await clock.advance(1)
    await resolver.mx("d.test")
    assert lab_dns.asked("d.test", "MX") == 2


async def test_absence_is_kept_for_a_minute_and_failure_not_at_all(lab_dns: LabDns) -> None:
    clock = FakeClock(NOW)
    resolver = resolver_of(lab_dns, clock=clock)
    await resolver.mx("no-such.test")
    await clock.advance(59)
    await resolver.mx("no-such.test")
    assert lab_dns.asked("no-such.test", "MX") == 1
    await clock.advance(1)
    await resolver.mx("no-such.test")
    assert lab_dns.asked("no-such.test", "MX") == 2
    lab_dns.fault("d.test", "MX", "servfail")
    for _ in range(2):
        with pytest.raises(LookupFailed):
            await resolver.mx("d.test")
    assert lab_dns.asked("d.test", "MX") == 2


async def test_flush_forgets(lab_dns: LabDns) -> None:
    resolver = resolver_of(lab_dns)
    await resolver.mx("d.test")
    resolver.flush()
    await resolver.mx("d.test")
    assert lab_dns.asked("d.test", "MX") == 2


async def test_one_question_for_all_who_wait(lab_dns: LabDns) -> None:
    resolver = resolver_of(lab_dns)
    await asyncio.gather(*(resolver.mx("d.test") for _ in range(5)))
    assert lab_dns.asked("d.test", "MX") == 1


async def test_next_priority_only_when_the_first_does_not_answer(lab_dns: LabDns) -> None:
    second = LabDns("d.test MX 1 elsewhere.test.")
    await second.start()
    try:
        resolver = resolver_of(lab_dns, second)
        assert len((await resolver.mx("d.test")).exchangers) == 2
        assert second.queries == []
        resolver.flush()
        lab_dns.fault("d.test", "MX", "timeout")
        assert (await resolver.mx("d.test")).exchangers[0].host == "elsewhere.test"
        assert lab_dns.asked("d.test", "MX") == 3
        lab_dns.fault("d.test", "MX", "servfail")
        resolver.flush()
        with pytest.raises(LookupFailed, match="ServFail"):
            await resolver.mx("d.test")
    finally:
        await second.stop()


async def test_alternate_domain_goes_to_its_own_server(lab_dns: LabDns) -> None:
    own = LabDns("deep.d.test MX 1 own.test.", "deep.d.test A 127.0.0.9")
    await own.start()
    try:
        resolver = resolver_of(
            lab_dns,
            own,
            servers=Table((DnsServer(address=SERVER),)),
            alternates=Table((AlternateServer(domain="deep.d.test", address=OTHER), AlternateServer(domain="test", address=SERVER))),
        )
        assert (await resolver.mx("deep.d.test")).exchangers[0].host == "own.test"
        assert (await resolver.mx("d.test")).exchangers[0].host == "mx1.d.test"
        assert [query.name for query in own.queries] == ["deep.d.test"]
    finally:
        await own.stop()


async def test_other_settings_empty_the_cache(lab_dns: LabDns) -> None:
    resolver = resolver_of(lab_dns)
    await resolver.mx("d.test")
    resolver.reconfigure(Dns())
    with pytest.raises(LookupFailed, match="Timeout"):
        await resolver.mx("d.test")


async def test_reverse_names(lab_dns: LabDns) -> None:
    resolver = resolver_of(lab_dns)
    good = await resolver.ptr("127.0.10.11", 5)
    assert (good.name, good.verified, good.failed) == ("mx1.d.test", True, False)
    forged = await resolver.ptr("127.0.10.12", 5)
    assert (forged.name, forged.verified, forged.failed) == ("mx1.d.test", False, False)
    nameless = await resolver.ptr("127.0.10.13", 5)
    assert (nameless.name, nameless.verified, nameless.failed) == (None, False, False)
    assert not lab_dns.asked("13.10.0.127.in-addr.arpa", "A")


async def test_reverse_look_up_ends_in_time(lab_dns: LabDns) -> None:
    lab_dns.fault("11.10.0.127.in-addr.arpa", "PTR", "timeout")
    assert (await resolver_of(lab_dns).ptr("127.0.10.11", 0.01)).failed
    before = len(lab_dns.queries)
    assert not (await resolver_of(lab_dns).ptr("127.0.10.12", 0)).failed
    assert len(lab_dns.queries) == before


async def test_a_forged_datagram_is_ignored() -> None:
    """An answer with another id arrives first; the right one is still taken."""

    class Forger(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = cast(asyncio.DatagramTransport, transport)

        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            right = server.answer(data, "udp")
            assert right is not None
            for datagram in (bytes([right[0] ^ 1]) + right[1:], b"garbage", right):
                self.transport.sendto(datagram, addr)

    server = LabDns("d.test MX 1 right.test.")
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Forger, local_addr=("127.0.0.1", 0))
    server.port = transport.get_extra_info("sockname")[1]
    try:
        assert (await resolver_of(server).mx("d.test")).exchangers[0].host == "right.test"
    finally:
        transport.close()


async def test_many_questions_at_once_wait_for_each_other() -> None:
    """Each takes a socket: with thousands of destinations due they would run out, and be taken for servers that do not answer."""

    class Holding(asyncio.DatagramProtocol):
        held: ClassVar[list[tuple[bytes, tuple[str, int]]]] = []
        most = 0

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = cast(asyncio.DatagramTransport, transport)

        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            self.held.append((data, addr))
            Holding.most = max(Holding.most, len(self.held))
            if len(self.held) == 1:
                asyncio.get_running_loop().call_later(0.01, self.release)

        def release(self) -> None:
            for data, addr in self.held:
                self.transport.sendto(server.answer(data, "udp"), addr)
            self.held.clear()

    count = 3 * AT_ONCE
    server = LabDns(*(f"d{n}.test MX 10 mx.d{n}.test." for n in range(count)))
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Holding, local_addr=("127.0.0.1", 0))
    server.port = transport.get_extra_info("sockname")[1]
    settings = Dns(servers=Table([DnsServer(address="127.0.0.1", port=server.port)]))
    try:
        resolver = Resolver(settings, FakeClock(NOW), AddressMap())
        answers = await asyncio.gather(*(resolver.mx(f"d{n}.test") for n in range(count)))
        assert all(len(answer.exchangers) == 1 for answer in answers)
        assert 1 < Holding.most <= AT_ONCE
    finally:
        transport.close()
