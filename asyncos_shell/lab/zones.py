"""Zones of the lab DNS: their records, and what a name and type lead to (RFC 1034 4.3.2, RFC 4592 wildcards, RFC 6672 DNAME).

A zone is written in master-file text; SOA and NS are added where they are missing. Where a zone lies inside another one it is
delegated by it. Nothing here is signed: see `zone_signing`.
"""

from __future__ import annotations

from typing import Any, cast

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rrset
import dns.tokenizer
import dns.zonefile
from attrs import define, field, frozen
from dns.rdatatype import RdataType

from appliance_runtime.dns.names import wildcard_of
from asyncos_shell.lab.zone_signing import Signing

DEFAULT_TTL = 3600
NEGATIVE_TTL = 60


@frozen(kw_only=True)
class Found:
    """`rrset` None = there is nothing of the type. `owner`: where it was found, a wildcard or not; `exists`: the name exists."""

    rrset: dns.rrset.RRset | None = None
    owner: dns.name.Name
    exists: bool = True


@frozen(kw_only=True)
class _Index:
    """Content of a zone at one version. `existing`: `names` and all names above them."""

    version: int
    kinds: dict[dns.name.Name, set[RdataType]]
    names: frozenset[dns.name.Name]
    existing: set[dns.name.Name]


@define(eq=False)
class LabZone:
    """`signing` None = an unsigned zone. `cuts`: zones below, and whether they are signed."""

    name: dns.name.Name
    signing: Signing | None = None
    records: dict[tuple[dns.name.Name, RdataType], dns.rrset.RRset] = field(factory=dict)
    cuts: dict[dns.name.Name, LabZone | None] = field(factory=dict)
    hidden: set[tuple[dns.name.Name, RdataType | None]] = field(factory=set)
    """types that are not there for the time being; None = the whole name"""
    undelegated: bool = False
    """the zone above has no DS records for the time being"""
    parted: bool = False
    """made of a part of the zone above for the time being"""
    version: int = 0
    """counts changes"""
    _known: _Index | None = field(default=None, init=False)

    @classmethod
    def of(cls, name: str, text: str, signing: Signing | None) -> LabZone:
        """Errors: ValueError."""
        zone = cls(name=dns.name.from_text(name).canonicalize(), signing=signing)
        try:
            for rrset in _read(text, zone.name):
                zone.add(rrset)
            host = dns.name.Name((b"ns", *zone.name.labels))
        except dns.exception.DNSException as error:
            raise ValueError(str(error)) from error
        for kind, data in ((RdataType.SOA, f"{host} hostmaster.{host} 1 3600 600 86400 {NEGATIVE_TTL}"), (RdataType.NS, str(host))):
            if (zone.name, kind) not in zone.records:
                zone.add(dns.rrset.from_text(zone.name, DEFAULT_TTL, dns.rdataclass.IN, kind, data))
        return zone

    def add(self, rrset: dns.rrset.RRset) -> None:
        """Errors: ValueError."""
        name = rrset.name.canonicalize()
        if not name.is_subdomain(self.name):
            raise ValueError(f"{name} is not in {self.name}")
        if rrset.rdtype == RdataType.NS and name != self.name:
            raise ValueError(f"{name} needs a zone of its own")
        known = self.records.setdefault((name, rrset.rdtype), dns.rrset.RRset(name, dns.rdataclass.IN, rrset.rdtype))
        for record in rrset:
            known.add(record, rrset.ttl)
        self.version += 1

    def remove(self, name: dns.name.Name, kind: RdataType) -> None:
        self.records.pop((name, kind), None)
        self.version += 1

    def hide(self, name: dns.name.Name, kind: RdataType | None, *, hidden: bool = True) -> None:
        """Let records be absent, or bring them back; None = the name and all below it."""
        (self.hidden.add if hidden else self.hidden.discard)((name, kind))
        self.version += 1

    @property
    def delegated(self) -> bool:
        """The zone above has DS records for it."""
        return self.signing is not None and self.signing.delegated and not self.undelegated

    # -- what is there ------------------------------------------------------------------------------------------------

    def types(self, name: dns.name.Name) -> set[RdataType]:
        """Types that this zone answers for at a name; NS alone for an unsigned delegation."""
        if name in self.cuts:
            below = self.cuts[name]
            return {RdataType.NS, RdataType.DS} if below is not None and below.delegated else {RdataType.NS}
        kinds = self._index().kinds.get(name, set())
        return kinds | {RdataType.DNSKEY} if name == self.name and self.signing is not None else kinds

    def names(self) -> frozenset[dns.name.Name]:
        """Names that have records or are delegated."""
        return self._index().names

    def exists(self, name: dns.name.Name) -> bool:
        """The name, or one below it, has records."""
        return name in self._index().existing

    def _index(self) -> _Index:
        """What is there, gathered anew after a change."""
        if self._known is None or self._known.version != self.version:
            kinds: dict[dns.name.Name, set[RdataType]] = {}
            for owner, kind in self.records:
                if not self._is_hidden(owner, kind):
                    kinds.setdefault(owner, set()).add(kind)
            names = frozenset(name for name in {*kinds, *self.cuts} if not self._is_below_a_cut(name))
            existing: set[dns.name.Name] = set()
            for name in names:
                while name not in existing:
                    existing.add(name)
                    name = name.parent() if name != self.name else name
            self._known = _Index(version=self.version, kinds=kinds, names=names, existing=existing)
        return self._known

    def _is_below_a_cut(self, name: dns.name.Name) -> bool:
        while name != self.name:
            name = name.parent()
            if name in self.cuts:
                return True
        return False

    def _is_hidden(self, name: dns.name.Name, kind: RdataType) -> bool:
        if not self.hidden:
            return False
        return (name, kind) in self.hidden or any(every is None and name.is_subdomain(owner) for owner, every in self.hidden)

    def closest_encloser(self, name: dns.name.Name) -> dns.name.Name:
        """The longest existing name above `name`, or the name itself."""
        while name != self.name and not self.exists(name):
            name = name.parent()
        return name

    def find(self, name: dns.name.Name, kind: RdataType) -> Found:
        """Records of the type, the alias that leads elsewhere, or neither."""
        encloser = self.closest_encloser(name)
        dname = self._at(encloser, RdataType.DNAME)
        if dname is not None and encloser != name:
            return Found(rrset=dname, owner=encloser)
        if encloser == name:
            return Found(rrset=self._at(name, kind) or self._at(name, RdataType.CNAME), owner=name)
        wildcard = wildcard_of(encloser)
        if not self.types(wildcard):
            return Found(owner=encloser, exists=False)
        return Found(rrset=self._at(wildcard, kind) or self._at(wildcard, RdataType.CNAME), owner=wildcard)

    def _at(self, name: dns.name.Name, kind: RdataType) -> dns.rrset.RRset | None:
        return None if self._is_hidden(name, kind) else self.records.get((name, kind))

    @property
    def soa(self) -> dns.rrset.RRset:
        return self.records[self.name, RdataType.SOA]


def _read(text: str, origin: dns.name.Name) -> list[dns.rrset.RRset]:
    """Records in master-file text; other files are not included. Errors: DNSException."""
    manager = dns.zonefile.RRSetsReaderManager(dns.name.root, False, dns.rdataclass.IN)
    with manager.writer(True) as transaction:  # type: ignore[no-untyped-call]
        tokenizer = dns.tokenizer.Tokenizer(text, origin.to_text())
        reader = dns.zonefile.Reader(tokenizer, dns.rdataclass.IN, transaction, default_ttl=DEFAULT_TTL)
        # The whole tree is taken, so that a name outside of the zone is told and not left out.
        reader.current_origin = origin
        reader.read()
    return manager.rrsets


def alias_target(name: dns.name.Name, rrset: dns.rrset.RRset) -> dns.name.Name:
    """Where the CNAME or DNAME leads `name`."""
    target = cast(dns.name.Name, cast(Any, rrset[0]).target)
    return target if rrset.rdtype == RdataType.CNAME else name.relativize(rrset.name).concatenate(target)
