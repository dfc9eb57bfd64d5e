"""The vectors of delivery.md 7.6 on the wire: zones and peers x DANE No, Opportunistic, Mandatory, at level 2.

Cells: `D` delivered with DANE success, `T` in TLS without DANE, `C` in clear text, `X` not delivered, `B` bounced at once.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from attrs import define, evolve, frozen

from appliance_runtime.delivery.probe import Probe
from appliance_runtime.delivery.tlsa import selected
from appliance_runtime.dns.resolver import Resolver
from appliance_runtime.dns.trust_anchors import parse_anchors
from appliance_runtime.snapshot import Snapshot
from appliance_state.model.destinations import DaneSupport, TlsSupport
from appliance_state.model.dns import DnssecMode
from asyncos_shell.lab.authority import Authority, Identity, self_signed
from asyncos_shell.lab.peers import Peer
from asyncos_shell.lab.zone_signing import Signing
from commands import daneverify
from tests.support.terminal import run_batch

Rig = Any
ZONE, UNSIGNED = "dane.example", "unsigned.example"
ADDRESS = "127.0.20.1"
BAD = bytes(32).hex()
MODES = (DnssecMode.VALIDATE, DnssecMode.TRUST_AD)
SETTINGS = (DaneSupport.NO, DaneSupport.OPPORTUNISTIC, DaneSupport.MANDATORY)


@frozen(kw_only=True)
class World:
    """What rows are made of. `host`: of the row, `domain`: to which mail is sent."""

    name: str
    zone: str
    listed: Authority
    root: Authority
    intermediate: Authority
    now: Any

    @property
    def host(self) -> str:
        return f"mx-{self.name}.{self.zone}"

    @property
    def domain(self) -> str:
        return f"{self.name}.{self.zone}"

    def own(self, **names: Any) -> Identity:
        """Self-signed."""
        return self_signed(self.now, **(names or {"common_name": "wrong.test"}))

    def chain(self, *, root: bool = True, **fields: Any) -> Identity:
        """Below an authority that no list has; all of the chain is sent, or all but the root."""
        identity = self.intermediate.issue(self.now, **(fields or {"dns_names": [self.host]}))
        return evolve(identity, chain=(*identity.chain, self.root.certificate)) if root else identity

    def trusted(self) -> Identity:
        """Below an authority of the appliance's lists."""
        identity = self.listed.issue(self.now, dns_names=[self.host])
        return evolve(identity, chain=(self.listed.certificate,))


def tlsa(form: str, certificate: bytes, *, length: int | None = None) -> str:
    """The data of a record of this form for a certificate."""
    _, selector, matching_type = map(int, form.split())
    return f"{form} {selected(certificate, selector, matching_type)[:length].hex()}"


Records = Callable[[World, Identity], list[str]]


def leaf(*forms: str) -> Records:
    return lambda world, identity: [tlsa(form, identity.der[0]) for form in forms]


def root(*forms: str) -> Records:
    return lambda world, identity: [tlsa(form, world.root.der) for form in forms]


def intermediate(*forms: str) -> Records:
    return lambda world, identity: [tlsa(form, world.intermediate.der) for form in forms]


def data(*texts: str) -> Records:
    return lambda world, identity: list(texts)


def both(*parts: Records) -> Records:
    return lambda world, identity: [text for part in parts for text in part(world, identity)]


UNUSABLE = both(data(f"3 1 99 {BAD}", f"3 2 1 {BAD}"), lambda world, identity: [tlsa("3 1 1", identity.der[0], length=31)])


MX, A, TLSA = "{domain} MX 10 {host}.", "{host} A {address}", "_25._tcp.{host} TLSA {TLSA}"


@frozen(kw_only=True)
class Row:
    """`cells`: for No, Opportunistic, Mandatory. `dns`: lines in place of MX, A and TLSA of the host; `{TLSA}` = the data.

    `base`: name below which the records are found, and SNI, where DANE succeeds.
    """

    name: str
    cells: str
    tlsa: Records = data()
    identity: Callable[[World], Identity] = World.own
    behaviour: str = "starttls-ok"
    zone: str = ZONE
    dns: tuple[str, ...] = (MX, A, TLSA)
    faults: tuple[tuple[str, str, str], ...] = ()
    base: str = "{host}"
    asked: tuple[bool, bool] = (True, True)
    """whether the TLSA question is asked under Opportunistic and Mandatory"""


NOT_ASKED = (False, False)
ROWS = [
    Row(name="ee", cells="TDD", tlsa=leaf("3 1 1")),
    Row(name="eeexpired", cells="TDD", tlsa=leaf("3 0 1"), identity=lambda w: self_signed(w.now - timedelta(days=200))),
    Row(name="rollover", cells="TDD", tlsa=both(data(f"3 1 1 {BAD}"), leaf("3 1 1"))),
    Row(name="ta", cells="TDD", tlsa=root("2 0 1"), identity=World.chain),
    Row(name="taexpired", cells="TXX", tlsa=root("2 0 1"),
        identity=lambda w: w.chain(dns_names=[w.host], days=1, starts=timedelta(days=-2))),
    Row(name="taroot-omitted", cells="TXX", tlsa=root("2 0 1"), identity=lambda w: w.chain(root=False)),
    Row(name="tafull", cells="TDD", tlsa=root("2 0 0"), identity=lambda w: w.chain(root=False)),
    Row(name="tanexthop", cells="TDD", tlsa=intermediate("2 1 1"), identity=lambda w: w.chain(dns_names=[w.domain])),
    Row(name="tabadname", cells="TXX", tlsa=intermediate("2 1 1"), identity=lambda w: w.chain(dns_names=["other.example"])),
    Row(name="tacnonly", cells="TDD", tlsa=intermediate("2 1 1"), identity=lambda w: w.chain(common_name=w.host)),
    Row(name="tawild", cells="TDD", tlsa=intermediate("2 1 1"), identity=lambda w: w.chain(dns_names=["*.dane.example"])),
    Row(name="mismatch", cells="TXX", tlsa=data(f"3 1 1 {BAD}")),
    Row(name="pkixuntrusted", cells="TXX", tlsa=leaf("0 0 1", "1 0 1"), identity=lambda w: w.own(dns_names=[w.host])),
    Row(name="pkixtrusted", cells="TDD", tlsa=leaf("1 1 1"), identity=World.trusted),
    Row(name="pkixta", cells="TDD", tlsa=lambda w, i: [tlsa("0 0 1", w.listed.der)], identity=World.trusted),
    Row(name="mixedunusable", cells="TDD", tlsa=both(data(f"1 0 1 {BAD}", f"3 1 99 {BAD}"), leaf("3 1 1"))),
    Row(name="allunusable", cells="TTX", tlsa=UNUSABLE),
    Row(name="allunusable-plain", cells="CXX", tlsa=UNUSABLE, behaviour="no-starttls"),
    Row(name="nostarttls", cells="CXX", tlsa=leaf("3 1 1"), behaviour="no-starttls"),
    Row(name="starttls454", cells="CXX", tlsa=leaf("3 1 1"), behaviour="starttls-454"),
    Row(name="hsfail", cells="XXX", tlsa=leaf("3 1 1"), behaviour="220-then-garbage"),
    Row(name="notlsa", cells="TTX", dns=(MX, A)),
    Row(name="notlsaplain", cells="CCX", dns=(MX, A), behaviour="no-starttls"),
    Row(name="notlsahsfail", cells="XXX", dns=(MX, A), behaviour="220-then-garbage"),
    Row(name="eeorta", cells="TDD", tlsa=both(data(f"3 1 1 {BAD}"), intermediate("2 1 1")), identity=World.chain),
    Row(name="notlsa454", cells="CCX", dns=(MX, A), behaviour="starttls-454"),
    Row(name="secpkix", cells="TTX", dns=(MX, A), identity=World.trusted),
    Row(name="cnamehost", cells="TDD", tlsa=leaf("3 1 1"), base="real-{host}",
        dns=(MX, "{host} CNAME real-{host}.", "real-{host} A {address}", "_25._tcp.real-{host} TLSA {TLSA}")),
    Row(name="cnameunsigned", cells="TDD", tlsa=leaf("3 1 1"),
        dns=(MX, "{host} CNAME mx.unsigned.example.", "mx.unsigned.example A {address}", TLSA)),
    Row(name="tlsainsecure", cells="TTX", tlsa=leaf("3 1 1"),
        dns=(MX, A, "_25._tcp.{host} CNAME tlsa.unsigned.example.", "tlsa.unsigned.example TLSA {TLSA}")),
    Row(name="mslike", cells="TTX", dns=("{domain} MX 10 mx.unsigned.example.", "mx.unsigned.example A {address}"),
        faults=(("_25._tcp.mx.unsigned.example", "TLSA", "servfail"),), asked=NOT_ASKED),
    Row(name="agility", cells="TXX", tlsa=both(leaf("3 1 1"), data(f"3 1 2 {BAD}{BAD}"))),
    Row(name="tlsacname", cells="TDD", tlsa=leaf("3 1 1"),
        dns=(MX, A, "_25._tcp.{host} CNAME other.dane.example.", "other.dane.example TLSA {TLSA}")),
    Row(name="implicit", cells="TDD", tlsa=leaf("3 1 1"), base="{domain}",
        dns=("{domain} A {address}", "_25._tcp.{domain} TLSA {TLSA}")),
    Row(name="ttlsafail", cells="TXX", dns=(MX, A, "_25._tcp.{host} CNAME tlsa.bogus.example.", f"tlsa.bogus.example TLSA 3 1 1 {BAD}")),
    Row(name="corrupt", cells="TXX", tlsa=leaf("3 1 1"), faults=(("_25._tcp.{host}", "TLSA", "bogus"),)),
    Row(name="tounsigned", cells="TTX", dns=("{domain} MX 10 mx.unsigned.example.", "mx.unsigned.example A {address}"), asked=NOT_ASKED),
    Row(name="unsigned", cells="TTX", zone=UNSIGNED, tlsa=leaf("3 1 1"), asked=NOT_ASKED),
    Row(name="tosigned", cells="TDX", zone=UNSIGNED, tlsa=leaf("3 1 1"), base="mx.dane.example", asked=(True, False),
        dns=("{domain} MX 10 mx.dane.example.", "mx.dane.example A {address}", "_25._tcp.mx.dane.example TLSA {TLSA}")),
    Row(name="tosignedbad", cells="TXX", zone=UNSIGNED, tlsa=data(f"3 1 1 {BAD}"), asked=(True, False),
        dns=("{domain} MX 10 mx.dane.example.", "mx.dane.example A {address}", "_25._tcp.mx.dane.example TLSA {TLSA}")),
    Row(name="nullmx", cells="BBB", dns=("{domain} MX 0 .",), asked=NOT_ASKED),
    Row(name="tobogus", cells="XXX", dns=("{domain} MX 10 mx.bogus.example.", "mx.bogus.example A {address}"), asked=NOT_ASKED),
    Row(name="bogus", cells="XXX", faults=(("{domain}", "MX", "bogus"),), tlsa=leaf("3 1 1"), asked=NOT_ASKED),
    Row(name="expired", cells="XXX", faults=(("{domain}", "MX", "expired"),), tlsa=leaf("3 1 1"), asked=NOT_ASKED),
]  # fmt: skip


def _zones(rig: Rig) -> None:
    rig.dns.zone(ZONE)
    rig.dns.zone(UNSIGNED, signed=False)
    rig.dns.zone("bogus.example", signing=Signing(delegation="wrong-key"))


async def _prepare(rig: Rig, row: Row, mode: DnssecMode) -> tuple[World, Peer]:
    rig.use_dnssec(mode)
    _zones(rig)
    now = rig.clock.now()
    root_authority = Authority.root("Unlisted Root CA", now)
    world = World(
        name=row.name, zone=row.zone, listed=rig.root, root=root_authority,
        intermediate=root_authority.intermediate("Unlisted Intermediate CA", now), now=now,
    )  # fmt: skip
    identity = row.identity(world)
    peer: Peer = await rig.peer("peer", ADDRESS, identity=identity, behaviour=row.behaviour)
    names = {"domain": world.domain, "host": world.host, "address": ADDRESS}
    for line in row.dns:
        if "{TLSA}" in line:
            for text in row.tlsa(world, identity):
                rig.dns.set(line.format(TLSA=text, **names))
        else:
            rig.dns.set(line.format(**names))
    for name, kind, fault in row.faults:
        rig.dns.fault(name.format(**names), kind, fault)
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
    assert all(query.name.startswith("_25._tcp.") or query.name.split(".")[0] in ("other", "tlsa") for query in questions)
    if expected == "D":
        assert peer.visits[0].sni == row.base.format(domain=world.domain, host=world.host)
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
    _zones(rig)
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
    _zones(rig)
    await _two_hosts(rig)
    assert await _verdict(rig, "multi.dane.example")


def test_the_table_is_complete() -> None:
    assert len(ROWS) + 1 == 45  # and `multi`
    assert len({row.name for row in ROWS}) == len(ROWS)
