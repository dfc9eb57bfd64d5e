"""The vectors of delivery.md 7.6: zones and peers, and what DANE No, Opportunistic and Mandatory must make of them at level 2.

Cells: `D` delivered with DANE success, `T` in TLS without DANE, `C` in clear text, `X` not delivered, `B` bounced at once. The
row `multi` has two hosts, and is not in this table.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from attrs import evolve, frozen

from appliance_runtime.delivery.tlsa import selected
from appliance_state.model.destinations import DaneSupport
from asyncos_shell.lab.authority import Authority, Identity, self_signed
from asyncos_shell.lab.dns_server import LabDns
from asyncos_shell.lab.zone_signing import Signing

ZONE, UNSIGNED, BOGUS = "dane.example", "unsigned.example", "bogus.example"
BAD = bytes(32).hex()
SETTINGS = (DaneSupport.NO, DaneSupport.OPPORTUNISTIC, DaneSupport.MANDATORY)


@frozen(kw_only=True)
class World:
    """What rows are made of. `host`: of the row, `domain`: to which mail is sent."""

    name: str
    zone: str
    listed: Authority
    root: Authority
    intermediate: Authority
    now: datetime

    @classmethod
    def of(cls, row: Row, listed: Authority, now: datetime) -> World:
        """With an authority of its own that no list has."""
        root = Authority.root("Unlisted Root CA", now)
        intermediate = root.intermediate("Unlisted Intermediate CA", now)
        return cls(name=row.name, zone=row.zone, listed=listed, root=root, intermediate=intermediate, now=now)

    @property
    def host(self) -> str:
        return f"mx-{self.name}.{self.zone}"

    @property
    def domain(self) -> str:
        return f"{self.name}.{self.zone}"

    def names(self, address: str) -> dict[str, str]:
        """What the lines of a row are filled with."""
        return {
            "domain": self.domain,
            "host": self.host,
            "address": address,
            "near": f"near-{self.name}.{ZONE}",
            "far": f"far-{self.name}.{UNSIGNED}",
            "lost": f"lost-{self.name}.{BOGUS}",
        }

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
    compared: bool = True
    """an independent implementation must come to the same result (no mark in delivery.md 7.6)"""


NOT_ASKED = (False, False)
ROWS = [
    Row(name="ee", cells="TDD", tlsa=leaf("3 1 1")),
    Row(name="eeexpired", cells="TDD", tlsa=leaf("3 0 1"), identity=lambda w: self_signed(w.now - timedelta(days=200))),
    Row(name="rollover", cells="TDD", tlsa=both(data(f"3 1 1 {BAD}"), leaf("3 1 1"))),
    Row(name="ta", cells="TDD", tlsa=root("2 0 1"), identity=World.chain),
    Row(name="taexpired", cells="TXX", tlsa=root("2 0 1"),
        identity=lambda w: w.chain(dns_names=[w.host], days=1, starts=timedelta(days=-2))),
    Row(name="taroot-omitted", cells="TXX", tlsa=root("2 0 1"), identity=lambda w: w.chain(root=False)),
    Row(name="tafull", compared=False, cells="TDD", tlsa=root("2 0 0"), identity=lambda w: w.chain(root=False)),
    Row(name="tanexthop", cells="TDD", tlsa=intermediate("2 1 1"), identity=lambda w: w.chain(dns_names=[w.domain])),
    Row(name="tabadname", cells="TXX", tlsa=intermediate("2 1 1"), identity=lambda w: w.chain(dns_names=["other.example"])),
    Row(name="tacnonly", cells="TDD", tlsa=intermediate("2 1 1"), identity=lambda w: w.chain(common_name=w.host)),
    Row(name="tawild", cells="TDD", tlsa=intermediate("2 1 1"), identity=lambda w: w.chain(dns_names=["*.dane.example"])),
    Row(name="mismatch", cells="TXX", tlsa=data(f"3 1 1 {BAD}")),
    Row(name="pkixuntrusted", compared=False, cells="TXX", tlsa=leaf("0 0 1", "1 0 1"), identity=lambda w: w.own(dns_names=[w.host])),
    Row(name="pkixtrusted", compared=False, cells="TDD", tlsa=leaf("1 1 1"), identity=World.trusted),
    Row(name="pkixta", compared=False, cells="TDD", tlsa=lambda w, i: [tlsa("0 0 1", w.listed.der)], identity=World.trusted),
    Row(name="mixedunusable", cells="TDD", tlsa=both(data(f"1 0 1 {BAD}", f"3 1 99 {BAD}"), leaf("3 1 1"))),
    Row(name="allunusable", compared=False, cells="TTX", tlsa=UNUSABLE),
    Row(name="allunusable-plain", compared=False, cells="CXX", tlsa=UNUSABLE, behaviour="no-starttls"),
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
        dns=(MX, "{host} CNAME {far}.", "{far} A {address}", TLSA)),
    Row(name="tlsainsecure", cells="TTX", tlsa=leaf("3 1 1"),
        dns=(MX, A, "_25._tcp.{host} CNAME {far}.", "{far} TLSA {TLSA}")),
    Row(name="mslike", cells="TTX", dns=("{domain} MX 10 {far}.", "{far} A {address}"),
        faults=(("_25._tcp.{far}", "TLSA", "servfail"),), asked=NOT_ASKED),
    Row(name="agility", compared=False, cells="TXX", tlsa=both(leaf("3 1 1"), data(f"3 1 2 {BAD}{BAD}"))),
    Row(name="tlsacname", cells="TDD", tlsa=leaf("3 1 1"),
        dns=(MX, A, "_25._tcp.{host} CNAME {near}.", "{near} TLSA {TLSA}")),
    Row(name="implicit", cells="TDD", tlsa=leaf("3 1 1"), base="{domain}",
        dns=("{domain} A {address}", "_25._tcp.{domain} TLSA {TLSA}")),
    Row(name="ttlsafail", cells="TXX", dns=(MX, A, "_25._tcp.{host} CNAME {lost}.", "{lost} TLSA 3 1 1 " + BAD)),
    Row(name="corrupt", cells="TXX", tlsa=leaf("3 1 1"), faults=(("_25._tcp.{host}", "TLSA", "bogus"),)),
    Row(name="tounsigned", cells="TTX", dns=("{domain} MX 10 {far}.", "{far} A {address}"), asked=NOT_ASKED),
    Row(name="unsigned", cells="TTX", zone=UNSIGNED, tlsa=leaf("3 1 1"), asked=NOT_ASKED),
    Row(name="tosigned", cells="TDX", zone=UNSIGNED, tlsa=leaf("3 1 1"), base="{near}", asked=(True, False),
        dns=("{domain} MX 10 {near}.", "{near} A {address}", "_25._tcp.{near} TLSA {TLSA}")),
    Row(name="tosignedbad", cells="TXX", zone=UNSIGNED, tlsa=data(f"3 1 1 {BAD}"), asked=(True, False),
        dns=("{domain} MX 10 {near}.", "{near} A {address}", "_25._tcp.{near} TLSA {TLSA}")),
    Row(name="nullmx", cells="BBB", dns=("{domain} MX 0 .",), asked=NOT_ASKED),
    Row(name="tobogus", cells="XXX", dns=("{domain} MX 10 {lost}.", "{lost} A {address}"), asked=NOT_ASKED),
    Row(name="bogus", cells="XXX", faults=(("{domain}", "MX", "bogus"),), tlsa=leaf("3 1 1"), asked=NOT_ASKED),
    Row(name="expired", cells="XXX", faults=(("{domain}", "MX", "expired"),), tlsa=leaf("3 1 1"), asked=NOT_ASKED),
]  # fmt: skip


def declare_zones(dns: LabDns) -> None:
    dns.zone(ZONE)
    dns.zone(UNSIGNED, signed=False)
    dns.zone(BOGUS, signing=Signing(delegation="wrong-key"))


def publish(dns: LabDns, row: Row, world: World, identity: Identity, address: str) -> None:
    """The records of a row, with its faults."""
    names = world.names(address)
    for line in row.dns:
        texts = row.tlsa(world, identity) if "{TLSA}" in line else [""]
        for text in texts:
            dns.set(line.format(TLSA=text, **names))
    for name, kind, fault in row.faults:
        dns.fault(name.format(**names), kind, fault)  # type: ignore[arg-type]
