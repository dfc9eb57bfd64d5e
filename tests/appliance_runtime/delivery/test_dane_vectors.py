"""The vectors of delivery.md 7.6 on the wire: zones and peers x DANE No, Opportunistic, Mandatory, at level 2."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from attrs import define, evolve

from appliance_runtime.delivery.probe import Probe
from appliance_runtime.dns.resolver import Resolver
from appliance_runtime.dns.trust_anchors import parse_anchors
from appliance_runtime.snapshot import Snapshot
from appliance_state.model.destinations import DaneSupport, TlsSupport
from appliance_state.model.dns import DnssecMode
from asyncos_shell.lab.authority import self_signed
from asyncos_shell.lab.peers import Peer
from commands import daneverify
from tests.support.dane_vectors import BAD, ROWS, SETTINGS, Row, World, declare_zones, publish, tlsa
from tests.support.terminal import run_batch

Rig = Any
ADDRESS = "127.0.20.1"
MODES = (DnssecMode.VALIDATE, DnssecMode.TRUST_AD)


async def _prepare(rig: Rig, row: Row, mode: DnssecMode) -> tuple[World, Peer]:
    rig.use_dnssec(mode)
    declare_zones(rig.dns)
    world = World.of(row, rig.root, rig.clock.now())
    identity = row.identity(world)
    peer: Peer = await rig.peer("peer", ADDRESS, identity=identity, behaviour=row.behaviour)
    publish(rig.dns, row, world, identity, ADDRESS)
    return world, peer


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
@pytest.mark.parametrize("support", SETTINGS, ids=lambda support: support.value)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_vector(rig: Rig, row: Row, support: DaneSupport, mode: DnssecMode) -> None:
    world, peer = await _prepare(rig, row, mode)
    rig.destination(tls_support=TlsSupport.PREFERRED, dane_support=support)
    mid = await rig.send(f"bob@{world.domain}")
    await rig.idle()
    expected = row.cells[SETTINGS.index(support)]
    transcript = "\n".join(rig.logs.lines)
    assert _cell(rig, peer) == expected, transcript
    questions = [query for query in rig.dns.queries if query.kind == "TLSA"]
    assert bool(questions) == (support is not DaneSupport.NO and row.asked[SETTINGS.index(support) - 1])
    assert all(query.do for query in questions)
    assert all(query.name.startswith(("_25._tcp.", "near-", "far-", "lost-")) for query in questions)
    if expected == "D":
        assert peer.visits[0].sni == row.base.format(**world.names(ADDRESS))
    if expected == "X" and not peer.visits:
        assert any(line.startswith(("Delayed: DCID 0 MID", "DNS Temporary")) for line in rig.logs.lines), transcript
    if expected == "X" and peer.visits:
        assert b"MAIL FROM" not in peer.visits[0].raw and b"marker" not in peer.visits[0].raw
        assert rig.lines(f"Delayed: DCID 1 MID {mid} to RID 0 - 4.7.5"), transcript
    alarmed = expected == "X" and support is not DaneSupport.NO and row.name not in ("tobogus", "bogus", "expired")
    if (row.name, support) == ("notlsahsfail", DaneSupport.OPPORTUNISTIC):
        alarmed = False  # TLS failed where DANE had no say
    assert [one[0] for one in rig.alerts.raised] == (["dane.failed"] if alarmed else [])


def _cell(rig: Rig, peer: Peer) -> str:
    if not peer.messages:
        return "B" if rig.lines("Bounced:") else "X"
    if peer.messages[0].tls is None:
        return "C"
    return "D" if rig.lines("TLS DANE success") else "T"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_without_dnssec_nothing_is_good_enough_for_mandatory(rig: Rig, row: Row) -> None:
    world, peer = await _prepare(rig, row, DnssecMode.OFF)
    rig.destination(tls_support=TlsSupport.PREFERRED, dane_support=DaneSupport.MANDATORY)
    await rig.send(f"bob@{world.domain}")
    await rig.idle()
    assert _cell(rig, peer) == ("B" if row.name == "nullmx" else "X")
    assert peer.visits == []
    assert not [query for query in rig.dns.queries if query.kind == "TLSA"]


async def _two_hosts(rig: Rig) -> tuple[Peer, Peer]:
    """The first one with a bad record."""
    first, second = self_signed(rig.clock.now()), self_signed(rig.clock.now())
    bad = await rig.peer("mx1.dane.example", "127.0.20.1", domain="multi.dane.example", preference=10, identity=first)
    good = await rig.peer("mx2.dane.example", "127.0.20.2", domain="multi.dane.example", preference=20, identity=second)
    rig.dns.set(f"_25._tcp.mx1.dane.example TLSA 3 1 1 {BAD}")
    rig.dns.set(f"_25._tcp.mx2.dane.example TLSA {tlsa('3 1 1', second.der[0])}")
    return bad, good


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
@pytest.mark.parametrize("support", SETTINGS, ids=lambda support: support.value)
async def test_vector_multi(rig: Rig, support: DaneSupport, mode: DnssecMode) -> None:
    rig.use_dnssec(mode)
    declare_zones(rig.dns)
    bad, good = await _two_hosts(rig)
    rig.destination(tls_support=TlsSupport.PREFERRED, dane_support=support)
    await rig.send("bob@multi.dane.example")
    await rig.idle()
    assert [len(bad.messages), len(good.messages)] == ([1, 0] if support is DaneSupport.NO else [0, 1])
    assert bool(rig.lines("TLS DANE success: TLSA 3 1 1 matches the certificate of mx2.dane.example")) == (support is not DaneSupport.NO)
    assert rig.alerts.raised == []


@define
class Probed:
    """What daneverify needs of an appliance, of the parts that the delivery here is made of."""

    rig: Rig

    def live(self) -> Snapshot:
        return cast(Snapshot, self.rig.snapshot)

    def probe(self, snapshot: Snapshot) -> Probe:
        rig = self.rig
        resolver = Resolver(
            snapshot.config.dns, rig.clock, rig.address_map, net_timeout_scale=0.2, anchors=parse_anchors(rig.dns.trust_anchor)
        )
        return Probe(snapshot, resolver, rig.address_map, rig.clock, net_timeout_scale=0.05)


async def _verdict(rig: Rig, domain: str) -> bool:
    output, failed = await run_batch(daneverify.COMMAND, cast(Any, SimpleNamespace(appliance=Probed(rig))), f"daneverify {domain}")
    assert output.endswith(f"DANE {'FAILED' if failed else 'SUCCESS'} for {domain}\nDANE verification completed.\n"), output
    return not failed


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_daneverify_says_what_mandatory_does(rig: Rig, row: Row) -> None:
    world, peer = await _prepare(rig, row, DnssecMode.VALIDATE)
    rig.snapshot = evolve(rig.snapshot, anchors=(world.listed.der,))
    assert await _verdict(rig, world.domain) == (row.cells[2] == "D")
    assert peer.messages == [] and not any("MAIL" in visit.commands for visit in peer.visits)


async def test_daneverify_takes_the_next_host_too(rig: Rig) -> None:
    rig.use_dnssec(DnssecMode.VALIDATE)
    declare_zones(rig.dns)
    await _two_hosts(rig)
    assert await _verdict(rig, "multi.dane.example")


def test_the_table_is_complete() -> None:
    assert len(ROWS) + 1 == 45  # and `multi`
    assert len({row.name for row in ROWS}) == len(ROWS)
