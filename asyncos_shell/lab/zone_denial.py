"""Signed denial of the lab zones: the NSEC or NSEC3 records that prove what is not there (RFC 4035 3.1.3, RFC 5155 7.2)."""

from __future__ import annotations

import base64
import bisect
from collections.abc import Iterable

import dns.name
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from attrs import define, field
from dns.rdatatype import RdataType

from appliance_runtime.dns.names import wildcard_of
from appliance_runtime.dns.nsec3 import nsec3_digest
from asyncos_shell.lab.zone_signing import Nsec3
from asyncos_shell.lab.zones import NEGATIVE_TTL, LabZone

_SHA1 = 1


class NsecChain:
    """Every name with records, in canonical order."""

    def __init__(self, zone: LabZone) -> None:
        self._zone = zone
        self._names = sorted(zone.names())

    def exact(self, name: dns.name.Name) -> list[dns.rrset.RRset]:
        """The name has not the type, and no name is missing."""
        return [self._at_or_before(name)]

    def no_name(self, name: dns.name.Name) -> list[dns.rrset.RRset]:
        return _distinct([self._at_or_before(name), self._at_or_before(wildcard_of(self._zone.closest_encloser(name)))])

    def from_wildcard(self, name: dns.name.Name, *, nodata: bool) -> list[dns.rrset.RRset]:
        """A wildcard stands for `name`; `nodata`: it has not the type."""
        wildcard = wildcard_of(self._zone.closest_encloser(name))
        return _distinct([self._at_or_before(name), *([self._at_or_before(wildcard)] if nodata else [])])

    def _at_or_before(self, name: dns.name.Name) -> dns.rrset.RRset:
        index = bisect.bisect_right(self._names, name) - 1
        owner, following = self._names[index], self._names[(index + 1) % len(self._names)]
        kinds = self._zone.types(owner) | {RdataType.RRSIG, RdataType.NSEC}
        return dns.rrset.from_text(owner, NEGATIVE_TTL, dns.rdataclass.IN, RdataType.NSEC, f"{following} {_names_of(kinds)}")


@define(eq=False)
class Nsec3Chain:
    """Every name, empty ones too, by its hash; with opt-out without unsigned delegations."""

    zone: LabZone
    nsec3: Nsec3
    _hashes: list[bytes] = field(init=False)
    _names: dict[bytes, dns.name.Name] = field(init=False)

    def __attrs_post_init__(self) -> None:
        names: set[dns.name.Name] = set()
        for name in self.zone.names():
            if self.nsec3.opt_out and self._unsigned_cut(name):
                continue
            while name not in names:
                names.add(name)
                name = name.parent() if name != self.zone.name else name
        self._names = {self._hash(name): name for name in names}
        self._hashes = sorted(self._names)

    def exact(self, name: dns.name.Name) -> list[dns.rrset.RRset]:
        if self._hash(name) in self._names:
            return [self._record(self._hashes.index(self._hash(name)))]
        # An unsigned delegation that is left out: the gap in which it lies (RFC 5155 7.2.4).
        return self._encloser_proof(name)

    def no_name(self, name: dns.name.Name) -> list[dns.rrset.RRset]:
        wildcard = wildcard_of(self.zone.closest_encloser(name))
        return _distinct([*self._encloser_proof(name), self._covering(wildcard)])

    def from_wildcard(self, name: dns.name.Name, *, nodata: bool) -> list[dns.rrset.RRset]:
        if not nodata:
            return [self._encloser_proof(name)[1]]
        return _distinct([*self._encloser_proof(name), self._covering(wildcard_of(self.zone.closest_encloser(name)))])

    def _encloser_proof(self, name: dns.name.Name) -> list[dns.rrset.RRset]:
        longer = name
        while self._hash(longer.parent()) not in self._names:
            longer = longer.parent()
        return [self._covering(longer.parent()), self._covering(longer)]

    def _covering(self, name: dns.name.Name) -> dns.rrset.RRset:
        """The record of the name or of the gap in which it lies."""
        return self._record(bisect.bisect_right(self._hashes, self._hash(name)) - 1)

    def _record(self, index: int) -> dns.rrset.RRset:
        digest, following = self._hashes[index], self._hashes[(index + 1) % len(self._hashes)]
        owner = self._names[digest]
        kinds = set(self.zone.types(owner))
        if kinds and not self._unsigned_cut(owner):
            kinds.add(RdataType.RRSIG)
        if owner == self.zone.name:
            kinds.add(RdataType.NSEC3PARAM)
        salt, after = self.nsec3.salt.hex() or "-", base64.b32hexencode(following).decode()
        text = f"{_SHA1} {int(self.nsec3.opt_out)} {self.nsec3.iterations} {salt} {after} {_names_of(kinds)}"
        name = dns.name.Name((base64.b32hexencode(digest).lower(), *self.zone.name.labels))
        return dns.rrset.from_text(name, NEGATIVE_TTL, dns.rdataclass.IN, RdataType.NSEC3, text)

    def _unsigned_cut(self, name: dns.name.Name) -> bool:
        return self.zone.types(name) == {RdataType.NS} and name in self.zone.cuts

    def _hash(self, name: dns.name.Name) -> bytes:
        return nsec3_digest(name, self.nsec3.salt, self.nsec3.iterations)


def chain_of(zone: LabZone) -> NsecChain | Nsec3Chain:
    """How a signed zone denies."""
    assert zone.signing is not None
    return NsecChain(zone) if zone.signing.nsec3 is None else Nsec3Chain(zone, zone.signing.nsec3)


def _names_of(kinds: Iterable[RdataType]) -> str:
    return " ".join(dns.rdatatype.to_text(kind) for kind in kinds)


def _distinct(rrsets: Iterable[dns.rrset.RRset]) -> list[dns.rrset.RRset]:
    return list({rrset.name: rrset for rrset in rrsets}.values())
