"""The verdict on every name of the lab zones, by our own validation and by unbound: they are the same.

The lab name server only hands on what it has; unbound and the appliance ask it the same questions and judge by themselves, from
the same key of the root and for the same time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from attrs import frozen
from dns.rdatatype import RdataType

from appliance_runtime.addresses import AddressMap
from appliance_runtime.clock import FakeClock
from appliance_runtime.dns.resolver import Resolver
from appliance_runtime.dns.trust_anchors import parse_anchors
from appliance_state.model.dns import Dns, DnssecMode, DnsServer
from appliance_state.table import Table
from asyncos_shell.lab.dns_server import LabDns
from tests.support.dnssec_zones import build, expected, verdict_of
from tests.support.unbound import unbound

pytestmark = pytest.mark.e2e

NOW = datetime(2026, 3, 6, 9, 0, tzinfo=UTC)
KINDS = (RdataType.A, RdataType.AAAA, RdataType.MX, RdataType.TLSA)


@frozen
class Judges:
    own: Resolver
    """validates itself"""
    unbound: Resolver
    """tells what unbound thinks: AD flag, SERVFAIL, and the answer with CD"""


def resolver_of(lab: LabDns, port: int, mode: DnssecMode) -> Resolver:
    settings = Dns(servers=Table([DnsServer(address=lab.address, port=port)]), dnssec_mode=mode)
    return Resolver(settings, FakeClock(NOW), AddressMap(), anchors=parse_anchors(lab.trust_anchor))


@pytest.fixture
async def judges() -> AsyncIterator[Judges]:
    lab = build(now=lambda: NOW, validating=False)
    await lab.start()
    try:
        async with unbound(lab, NOW) as port:
            yield Judges(resolver_of(lab, lab.port, DnssecMode.VALIDATE), resolver_of(lab, port, DnssecMode.TRUST_AD))
    finally:
        await lab.stop()


async def test_same_verdict_on_every_name_and_type(judges: Judges) -> None:
    names = list(dict.fromkeys(name for name, _, _ in expected()))
    different = []
    for name in names:
        for kind in KINDS:
            own, other = await verdict_of(judges.own, name, kind), await verdict_of(judges.unbound, name, kind)
            if own != other:
                different.append(f"{name} {kind.name}: {own}, unbound {other}")
    assert len(names) > 300
    assert different == []


async def test_unbound_agrees_with_the_table_of_verdicts(judges: Judges) -> None:
    wrong = []
    for name, kind, verdict in expected():
        found = await verdict_of(judges.unbound, name, kind)
        if found != verdict:
            wrong.append(f"{name} {kind.name}: {found}, expected {verdict}")
    assert wrong == []
