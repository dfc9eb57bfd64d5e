"""The verdict on every name of the lab zones, by our own validation, by unbound and by BIND: they are the same.

The lab name server only hands on what it has; the others ask it the same questions and judge by themselves, from the same key
of the root.
"""

from __future__ import annotations

import asyncio
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
from tests.support.dnssec_zones import Verdict, build, expected, verdict_of
from tests.support.validators import named, unbound

pytestmark = pytest.mark.e2e

LONG_AGO = datetime(2026, 3, 6, 9, 0, tzinfo=UTC)
KINDS = (RdataType.A, RdataType.AAAA, RdataType.MX, RdataType.TLSA)


@frozen
class Judges:
    own: Resolver
    """validates itself"""
    behind: Resolver
    """the same, with the other one as its server"""
    other: Resolver
    """tells what the other one thinks: AD flag, SERVFAIL, and the answer with CD"""


def resolver_of(lab: LabDns, port: int, now: datetime, mode: DnssecMode) -> Resolver:
    settings = Dns(servers=Table([DnsServer(address=lab.address, port=port)]), dnssec_mode=mode)
    return Resolver(settings, FakeClock(now), AddressMap(), net_timeout_scale=5, anchors=parse_anchors(lab.trust_anchor))


@pytest.fixture(params=["unbound", "named"])
async def judges(request: pytest.FixtureRequest) -> AsyncIterator[Judges]:
    """unbound is told the time, BIND goes by the clock of the machine."""
    now = LONG_AGO if request.param == "unbound" else datetime.now(UTC)
    lab = build(now=lambda: now, validating=False)
    await lab.start()
    try:
        async with unbound(lab, now) if request.param == "unbound" else named(lab) as port:
            yield Judges(
                resolver_of(lab, lab.port, now, DnssecMode.VALIDATE),
                resolver_of(lab, port, now, DnssecMode.VALIDATE),
                resolver_of(lab, port, now, DnssecMode.TRUST_AD),
            )
    finally:
        await lab.stop()


async def verdicts_of(resolver: Resolver, questions: list[tuple[str, RdataType]]) -> list[Verdict]:
    """Some at a time: BIND takes seconds until it gives up a denial that is bogus."""
    places = asyncio.Semaphore(16)

    async def one(name: str, kind: RdataType) -> Verdict:
        async with places:
            return await verdict_of(resolver, name, kind)

    return await asyncio.gather(*(one(name, kind) for name, kind in questions))


async def test_all_agree_with_the_table_of_verdicts(judges: Judges) -> None:
    questions = [(name, kind) for name, kind, _ in expected()]
    verdicts = [verdict for _, _, verdict in expected()]
    for judge in (judges.behind, judges.other):
        found = await verdicts_of(judge, questions)
        assert [row for row in zip(questions, found, verdicts, strict=True) if row[1] != row[2]] == []


@pytest.mark.parametrize("judges", ["unbound"], indirect=True)
async def test_same_verdict_on_every_name_and_type(judges: Judges) -> None:
    names = dict.fromkeys(name for name, _, _ in expected())
    questions = [(name, kind) for name in names for kind in KINDS]
    assert len(questions) > 1200
    own, other = await verdicts_of(judges.own, questions), await verdicts_of(judges.other, questions)
    assert [row for row in zip(questions, own, other, strict=True) if row[1] != row[2]] == []
