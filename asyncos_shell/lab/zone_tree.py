"""All zones of the lab DNS below one signed root: which zone answers, how secure it is, and the answer as a resolver gives it.

Names outside of the declared zones hang from the root as unsigned delegations, one for each, as high up as the zones allow.
An answer follows aliases from zone to zone, with the signatures and proofs of each; where an alias leaves the zones it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rrset
from attrs import define, field
from dns.rdatatype import RdataType

from appliance_runtime.dns.answers import Security, weakest
from appliance_runtime.dns.nsec3 import MAX_ITERATIONS
from asyncos_shell.lab.zone_denial import Nsec3Chain, NsecChain, chain_of
from asyncos_shell.lab.zone_signing import Flaw, Signing
from asyncos_shell.lab.zones import NEGATIVE_TTL, Found, LabZone, alias_target

MAX_ALIASES = 12
Flaws = Callable[[dns.name.Name, RdataType], Flaw | None]
"""what is wrong with the signatures of a name and type"""


@define
class Composed:
    """An answer in the making. `security`: of the weakest part so far."""

    answer: list[dns.rrset.RRset] = field(factory=list)
    authority: list[dns.rrset.RRset] = field(factory=list)
    rcode: dns.rcode.Rcode = dns.rcode.NOERROR
    security: Security = Security.SECURE

    def weaken(self, security: Security) -> None:
        self.security = weakest(self.security, security)


class ZoneTree:
    """`flaws`: faults of signatures, looked up when they are made. A flaw of the NSEC or NSEC3 of a zone's name is one of them all."""

    def __init__(self, now: Callable[[], datetime], flaws: Flaws) -> None:
        self._now = now
        self._flaws = flaws
        self._chains: dict[dns.name.Name, tuple[int, NsecChain | Nsec3Chain]] = {}
        self.root = LabZone.of(".", "", Signing())
        self.zones: dict[dns.name.Name, LabZone] = {dns.name.root: self.root}
        self._outside: tuple[dns.name.Name, ...] = ()

    # -- zones --------------------------------------------------------------------------------------------------------

    def declare(self, zone: LabZone) -> None:
        """Add a zone, or replace the one of the same name."""
        self.zones[zone.name] = zone
        self.arrange()

    def part(self, name: dns.name.Name) -> None:
        """Serve a name and all below it from an unsigned zone."""
        zone = self.zone_of(name)
        if zone.name == name:
            zone.undelegated = True
        else:
            below = LabZone.of(str(name), "", None)
            below.parted = True
            for key in [key for key in zone.records if key[0].is_subdomain(name)]:
                below.records[key] = zone.records.pop(key)
            self.zones[name] = below
        self.arrange()

    def join(self, name: dns.name.Name) -> None:
        """Undo `part`."""
        zone = self.zones[name]
        zone.undelegated = False
        if zone.parted:
            del self.zones[name]
            added = ((name, RdataType.SOA), (name, RdataType.NS))
            self.zone_of(name).records.update({key: rrset for key, rrset in zone.records.items() if key not in added})
        self.arrange()

    def withhold(self, name: dns.name.Name) -> LabZone:
        """Take a zone out; its name does not exist until it is declared again."""
        zone = self.zones.pop(name)
        self.arrange()
        return zone

    def arrange(self, outside: Iterable[dns.name.Name] | None = None) -> None:
        """Delegate every zone, and the names `outside` of the zones, from the zone above; None = the names known so far."""
        self._outside = self._outside if outside is None else tuple(outside)
        for zone in self.zones.values():
            zone.cuts = {}
            zone.version += 1
        for name, zone in self.zones.items():
            if name != dns.name.root:
                self.zone_of(name.parent()).cuts[name] = zone
        for name in self._outside:
            if self.zone_of(name) is self.root:
                self.root.cuts.setdefault(self._highest(name), None)

    def _highest(self, name: dns.name.Name) -> dns.name.Name:
        """The highest name above `name` that is above no declared zone."""
        for depth in range(2, len(name)):
            above = name.split(depth)[1]
            if not any(zone.is_subdomain(above) for zone in self.zones):
                return above
        return name

    def zone_of(self, name: dns.name.Name) -> LabZone:
        """The innermost zone around a name."""
        while name not in self.zones:
            name = name.parent()
        return self.zones[name]

    def covers(self, name: dns.name.Name, kind: RdataType) -> bool:
        """Answers for `name` come from here, and not from outside."""
        if self.zone_of(name) is not self.root:
            return True
        cut = name
        while cut not in self.root.cuts and cut != dns.name.root:
            cut = cut.parent()
        return cut == dns.name.root or (cut == name and kind == RdataType.DS)

    def security(self, zone: LabZone) -> Security:
        """What a validator must think of the answers of a zone, faults of single records aside."""
        if zone is not self.root:
            above = self.zone_of(zone.name.parent())
            inherited = self.security(above)
            if inherited is not Security.SECURE:
                return inherited
            if self._flaws(zone.name, RdataType.DS) is not None or (not zone.delegated and self._denies_badly(above)):
                return Security.BOGUS
        if zone.signing is None or not zone.delegated or not zone.signing.known or zone.signing.delegation == "unknown-digest":
            return Security.INSECURE
        broken = zone.signing.delegation != "good" or self._flaws(zone.name, RdataType.DNSKEY) is not None
        return Security.BOGUS if broken else Security.SECURE

    def _denies_badly(self, zone: LabZone) -> bool:
        return any(self._flaws(zone.name, kind) is not None for kind in (RdataType.NSEC, RdataType.NSEC3))

    # -- answers ------------------------------------------------------------------------------------------------------

    def compose(self, name: dns.name.Name, kind: RdataType) -> Composed:
        """The whole answer, with signatures."""
        made = Composed()
        for _ in range(MAX_ALIASES):
            at_cut = kind == RdataType.DS and name in self.zones and name != dns.name.root
            zone = self.zone_of(name.parent() if at_cut else name)
            made.weaken(self.security(zone))
            found = self._found(zone, name, kind)
            if found.rrset is None:
                self._deny(made, zone, name, kind, found)
                return made
            self._add(made, zone, name, found)
            if found.rrset.rdtype == kind:
                return made
            target = alias_target(name, found.rrset)
            if found.rrset.rdtype == RdataType.DNAME:
                made.answer.append(dns.rrset.from_text(name, found.rrset.ttl, dns.rdataclass.IN, RdataType.CNAME, str(target)))
                if kind == RdataType.CNAME:
                    return made
            name = target.canonicalize()
            if not self.covers(name, kind):
                return made
        return made

    def _found(self, zone: LabZone, name: dns.name.Name, kind: RdataType) -> Found:
        if kind == RdataType.DNSKEY and name == zone.name and zone.signing is not None:
            return Found(rrset=zone.signing.keys(name), owner=name)
        if name in zone.cuts:
            below = zone.cuts[name]
            delegated = kind == RdataType.DS and below is not None and below.delegated
            return Found(rrset=below.signing.ds(name) if delegated and below and below.signing else None, owner=name)
        return zone.find(name, kind)

    def _add(self, made: Composed, zone: LabZone, name: dns.name.Name, found: Found) -> None:
        """Records, renamed where a wildcard stands for `name`, with their signature and the proof that nothing is nearer."""
        rrset = found.rrset
        assert rrset is not None
        expanded = found.owner.is_wild() and found.owner != name and rrset.rdtype != RdataType.DNAME
        shown = dns.rrset.from_rdata_list(name if expanded else rrset.name, rrset.ttl, list(rrset))
        made.answer.append(shown)
        flaw = self._flaws(shown.name, rrset.rdtype)
        self._sign(made, made.answer, zone, rrset, shown.name, flaw)
        if expanded and zone.signing is not None:
            self._prove(made, zone, self._chain(zone).from_wildcard(name, nodata=False), None)

    def _deny(self, made: Composed, zone: LabZone, name: dns.name.Name, kind: RdataType, found: Found) -> None:
        flaw = self._flaws(name, kind)
        if not found.exists:
            made.rcode = dns.rcode.NXDOMAIN
        soa = dns.rrset.from_rdata_list(zone.soa.name, NEGATIVE_TTL, list(zone.soa))
        made.authority.append(soa)
        self._sign(made, made.authority, zone, soa, soa.name, flaw)
        if zone.signing is None:
            return
        chain = self._chain(zone)
        if not found.exists:
            self._prove(made, zone, chain.no_name(name), flaw)
        elif found.owner.is_wild() and found.owner != name:
            self._prove(made, zone, chain.from_wildcard(name, nodata=True), flaw)
        else:
            proof = chain.exact(name)
            self._prove(made, zone, proof, flaw, matched=len(proof) == 1)

    def _prove(self, made: Composed, zone: LabZone, proof: list[dns.rrset.RRset], flaw: Flaw | None, *, matched: bool = False) -> None:
        """`matched`: the record of the name itself is the proof, so that nothing can lie in a gap with opt-out."""
        nsec3 = zone.signing.nsec3 if zone.signing is not None else None
        if nsec3 is not None and (nsec3.iterations > MAX_ITERATIONS or (nsec3.opt_out and not matched)):
            made.weaken(Security.INSECURE)
        for rrset in proof:
            if not any(rrset.name == one.name and rrset.rdtype == one.rdtype for one in made.authority):
                made.authority.append(rrset)
                own = self._flaws(rrset.name, rrset.rdtype) or self._flaws(zone.name, rrset.rdtype)
                self._sign(made, made.authority, zone, rrset, rrset.name, flaw or own)

    def _sign(
        self,
        made: Composed,
        section: list[dns.rrset.RRset],
        zone: LabZone,
        rrset: dns.rrset.RRset,
        owner: dns.name.Name,
        flaw: Flaw | None,
    ) -> None:
        if zone.signing is None:
            return
        if flaw is not None:
            made.weaken(Security.BOGUS)
        if flaw != "unsigned":
            signature = zone.signing.sign(rrset, zone.name, self._now(), flaw)
            section.append(dns.rrset.from_rdata(owner, rrset.ttl, signature))

    def _chain(self, zone: LabZone) -> NsecChain | Nsec3Chain:
        known = self._chains.get(zone.name)
        if known is None or known[0] != zone.version:
            known = self._chains[zone.name] = zone.version, chain_of(zone)
        return known[1]
