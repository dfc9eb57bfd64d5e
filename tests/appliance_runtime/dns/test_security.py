"""What the resolver says of the security of its answers, by the mode of dnsconfig, against a name server on a real port."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from appliance_runtime.addresses import AddressMap
from appliance_runtime.clock import FakeClock
from appliance_runtime.dns.answers import Security, Tlsa, TlsaAnswer, weakest
from appliance_runtime.dns.resolver import Resolver
from appliance_state.model.dns import Dns, DnssecMode, DnsServer
from appliance_state.table import Table
from asyncos_shell.lab.dns_server import LabDns

NOW = datetime(2026, 3, 6, 9, 0, tzinfo=UTC)
SERVER = "192.0.2.53"
OWNER = "_25._tcp.mx1.d.test"
DIGEST = "91751cee0a1ab8414400238a761411daa29643ab4b8243e9a91649e25be53ada"


@pytest.fixture
async def lab_dns() -> AsyncIterator[LabDns]:
    server = LabDns(f"{OWNER} 300 TLSA 3 1 1 {DIGEST}", "mx1.d.test A 127.0.10.11", f"alias.test CNAME {OWNER}.")
    await server.start()
    yield server
    await server.stop()


def resolver_of(server: LabDns, clock: FakeClock | None = None, mode: DnssecMode = DnssecMode.OFF) -> Resolver:
    settings = Dns(servers=Table([DnsServer(address=SERVER)]), dnssec_mode=mode)
    address_map = AddressMap.parse([f"{SERVER}:53={server.address}:{server.port}"])
    return Resolver(settings, clock or FakeClock(NOW), address_map, net_timeout_scale=0.03)


async def test_off_is_never_secure(lab_dns: LabDns) -> None:
    resolver = resolver_of(lab_dns)
    record = Tlsa(usage=3, selector=1, matching_type=1, data=bytes.fromhex(DIGEST))
    expected = TlsaAnswer(status="found", records=(record,), security=Security.INSECURE, canonical_name=OWNER)
    assert await resolver.tlsa(OWNER) == expected
    assert await resolver.tlsa("alias.test") == expected
    assert (await resolver.addresses("mx1.d.test", dnssec=True)).security is Security.INSECURE
    assert (await resolver.mx("mx1.d.test", dnssec=True)).security is Security.INSECURE


async def test_nobody_asked(lab_dns: LabDns) -> None:
    answer = await resolver_of(lab_dns).addresses("mx1.d.test")
    assert (answer.security, answer.secure_addresses, answer.canonical_name) == (Security.INDETERMINATE, (), "mx1.d.test")
    assert not any(query.do or query.cd for query in lab_dns.queries)


@pytest.mark.parametrize(
    ("fault", "status"),
    [("nodata", "nodata"), ("nxdomain", "nxdomain"), ("servfail", "servfail"), ("refused", "refused"), ("timeout", "timeout")],
)
async def test_status_of_a_tlsa_answer(lab_dns: LabDns, fault: str, status: str) -> None:
    lab_dns.fault(OWNER, "TLSA", fault)  # type: ignore[arg-type]
    answer = await resolver_of(lab_dns).tlsa(OWNER)
    assert (answer.status, answer.records, answer.canonical_name) == (status, (), OWNER)


async def test_a_tlsa_record_is_never_kept_longer_than_its_ttl(lab_dns: LabDns) -> None:
    clock = FakeClock(NOW)
    resolver = resolver_of(lab_dns, clock)
    await resolver.tlsa(OWNER)
    await clock.advance(299)
    await resolver.tlsa(OWNER)
    assert lab_dns.asked(OWNER, "TLSA") == 1
    await clock.advance(1)
    await resolver.tlsa(OWNER)
    assert lab_dns.asked(OWNER, "TLSA") == 2


def test_a_chain_is_as_secure_as_its_weakest_link() -> None:
    order = [Security.SECURE, Security.INSECURE, Security.INDETERMINATE, Security.BOGUS]
    for number, one in enumerate(order):
        assert weakest(*order[: number + 1]) is one
    assert weakest() is Security.SECURE
