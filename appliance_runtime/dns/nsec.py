"""Signed denial by NSEC records: what a zone says does not exist (RFC 4035 5.4, RFC 6840 4). No sockets, no clock.

All records given are verified already and none stands for a wildcard. `apex`: name of the zone that signed them.
"""

from __future__ import annotations

from typing import Any

import dns.name
from attrs import frozen
from dns.rdatatype import RdataType
from dns.rdtypes.ANY.NSEC import NSEC

from appliance_runtime.dns.answers import Security
from appliance_runtime.dns.names import shown, wildcard_of
from appliance_runtime.dns.signatures import Bogus


def has_type(record: Any, kind: RdataType) -> bool:
    """Whether the type bitmap of an NSEC or NSEC3 record names `kind`."""
    window, offset = divmod(int(kind), 256)
    octet, bit = divmod(offset, 8)
    return any(number == window and octet < len(bits) and bool(bits[octet] & (0x80 >> bit)) for number, bits in record.windows)


def is_parent_side(record: Any) -> bool:
    """The record of a delegation, from the zone above: it says nothing of the zone below (RFC 6840 4.1)."""
    return has_type(record, RdataType.NS) and not has_type(record, RdataType.SOA)


def denies_type(record: Any, kind: RdataType) -> bool:
    """The name exists without `kind`, and without an alias that would lead to it (RFC 6840 4.3)."""
    if has_type(record, kind) or has_type(record, RdataType.CNAME):
        return False
    if kind == RdataType.DS:
        # RFC 6840 4.4: the zone below cannot deny its own delegation.
        return not has_type(record, RdataType.SOA)
    return not is_parent_side(record)


@frozen
class NsecDenial:
    apex: dns.name.Name
    records: tuple[tuple[dns.name.Name, NSEC], ...]

    def nodata(self, name: dns.name.Name, kind: RdataType) -> Security:
        """`name` has no `kind`, or it is covered by a wildcard that has none. Errors: Bogus."""
        for owner, record in self.records:
            if owner == name:
                if denies_type(record, kind):
                    return Security.SECURE
                raise Bogus(f"the NSEC record of {shown(name)} does not deny {kind.name}")
            if self._covers(owner, record, name) and record.next.is_subdomain(name):
                return Security.SECURE  # an empty name: only names below it have records
        encloser = self._closest_encloser(name)
        for owner, record in self.records:
            if owner == wildcard_of(encloser) and denies_type(record, kind):
                return Security.SECURE
        raise Bogus(f"no proof that {shown(name)} has no {kind.name}")

    def nxdomain(self, name: dns.name.Name) -> Security:
        """Neither `name` nor a wildcard that stands for it exists. Errors: Bogus."""
        wildcard = wildcard_of(self._closest_encloser(name))
        if not any(self._covers(owner, record, wildcard) for owner, record in self.records):
            raise Bogus(f"no proof that {shown(wildcard)} does not exist")
        return Security.SECURE

    def expansion(self, name: dns.name.Name, encloser: dns.name.Name) -> Security:
        """No name nearer to `name` than the wildcard below `encloser` exists (RFC 4035 5.3.4). Errors: Bogus."""
        if self._closest_encloser(name) != encloser:
            raise Bogus(f"no proof that a wildcard stands for {shown(name)}")
        return Security.SECURE

    def is_cut(self, name: dns.name.Name) -> bool:
        """Proven: `name` is a delegation. Only after `nodata` of its DS."""
        return any(owner == name and is_parent_side(record) for owner, record in self.records)

    def _covers(self, owner: dns.name.Name, record: NSEC, name: dns.name.Name) -> bool:
        """`name` lies in the gap behind `owner`; the gap of the last record ends at the apex."""
        if not owner < name or not (name < record.next or record.next == self.apex):
            return False
        below = name.is_subdomain(owner)
        return not (below and (is_parent_side(record) or has_type(record, RdataType.DNAME)))

    def _closest_encloser(self, name: dns.name.Name) -> dns.name.Name:
        """The longest existing name above `name`, which itself does not exist. Errors: Bogus."""
        for owner, record in self.records:
            if self._covers(owner, record, name) and not record.next.is_subdomain(name):
                return max(_common(name, owner), _common(name, record.next), key=len)
        raise Bogus(f"no proof that {shown(name)} does not exist")


def _common(one: dns.name.Name, other: dns.name.Name) -> dns.name.Name:
    """The longest name above both."""
    return one.split(one.fullcompare(other)[2])[1]
