"""Signed denial by NSEC3 records: names are hashed, and delegations may be left out (RFC 5155 8). No sockets, no clock.

All records given are verified already and none stands for a wildcard. Where a gap with the opt-out flag is part of the proof
an unsigned delegation may lie in it: the denial is insecure. So is one with more iterations than are worth the work (RFC 9276 3.2).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable

import dns.name
from attrs import define, field
from dns.rdatatype import RdataType
from dns.rdtypes.ANY.NSEC3 import NSEC3

from appliance_runtime.dns.answers import Security
from appliance_runtime.dns.names import shown, wildcard_of
from appliance_runtime.dns.nsec import denies_type, has_type, is_parent_side
from appliance_runtime.dns.signatures import Bogus, Effort

MAX_ITERATIONS = 150
_SHA1 = 1
_OPT_OUT = 1


@define
class Nsec3Denial:
    """`records`: by the hash that is their owner name."""

    apex: dns.name.Name
    records: dict[bytes, NSEC3]
    effort: Effort
    _hashes: dict[dns.name.Name, bytes] = field(factory=dict, init=False)

    @classmethod
    def of(cls, apex: dns.name.Name, records: Iterable[tuple[dns.name.Name, NSEC3]], effort: Effort) -> Nsec3Denial:
        """RFC 5155 8.2: what is hashed in another way, or has unknown flags, is not there."""
        found: dict[bytes, NSEC3] = {}
        for owner, record in records:
            digest = _digest_of(owner, apex)
            if digest is not None and record.algorithm == _SHA1 and record.flags & ~_OPT_OUT == 0:
                first = next(iter(found.values()), record)
                if (record.iterations, record.salt) == (first.iterations, first.salt):
                    found[digest] = record
        return cls(apex, found, effort)

    def nodata(self, name: dns.name.Name, kind: RdataType) -> Security:
        """`name` has no `kind`, or it is covered by a wildcard that has none (RFC 5155 8.5 to 8.7). Errors: Bogus."""
        if self._too_expensive:
            return Security.INSECURE
        record = self._match(name)
        if record is not None:
            if denies_type(record, kind):
                return Security.SECURE
            raise Bogus(f"the NSEC3 record of {shown(name)} does not deny {kind.name}")
        encloser, gap = self._closest_encloser(name)
        wildcard = self._match(wildcard_of(encloser))
        if wildcard is not None and not denies_type(wildcard, kind):
            raise Bogus(f"no proof that {shown(name)} has no {kind.name}")
        if _opt_out(gap):
            return Security.INSECURE
        if wildcard is None:
            raise Bogus(f"no proof that {shown(name)} has no {kind.name}")
        return Security.SECURE

    def nxdomain(self, name: dns.name.Name) -> Security:
        """Neither `name` nor a wildcard that stands for it exists (RFC 5155 8.4). Errors: Bogus."""
        if self._too_expensive:
            return Security.INSECURE
        encloser, gap = self._closest_encloser(name)
        wildcard = wildcard_of(encloser)
        if self._cover(wildcard) is None:
            raise Bogus(f"no proof that {shown(wildcard)} does not exist")
        return Security.INSECURE if _opt_out(gap) else Security.SECURE

    def expansion(self, name: dns.name.Name, encloser: dns.name.Name) -> Security:
        """No name nearer to `name` than the wildcard below `encloser` exists (RFC 5155 8.8). Errors: Bogus."""
        if self._too_expensive:
            return Security.INSECURE
        gap = self._cover(name.split(len(encloser) + 1)[1])
        if gap is None:
            raise Bogus(f"no proof that a wildcard stands for {shown(name)}")
        return Security.INSECURE if _opt_out(gap) else Security.SECURE

    def is_cut(self, name: dns.name.Name) -> bool:
        """Proven: `name` is a delegation. Only after `nodata` of its DS."""
        record = None if self._too_expensive else self._match(name)
        return record is not None and is_parent_side(record)

    @property
    def _too_expensive(self) -> bool:
        return any(record.iterations > MAX_ITERATIONS for record in self.records.values())

    def _closest_encloser(self, name: dns.name.Name) -> tuple[dns.name.Name, NSEC3]:
        """The longest existing name above `name`, and the gap in which the next longer one is missing (RFC 5155 8.3). Errors: Bogus."""
        longer = name
        while longer != self.apex and self.records:
            encloser = longer.parent()
            record = self._match(encloser)
            if record is not None:
                gap = self._cover(longer)
                if gap is None or is_parent_side(record) or has_type(record, RdataType.DNAME):
                    break
                return encloser, gap
            longer = encloser
        raise Bogus(f"no proof that {shown(name)} does not exist")

    def _match(self, name: dns.name.Name) -> NSEC3 | None:
        return self.records.get(self._hash(name))

    def _cover(self, name: dns.name.Name) -> NSEC3 | None:
        digest = self._hash(name)
        for owner, record in self.records.items():
            if owner < digest < record.next or (record.next <= owner and (digest > owner or digest < record.next)):
                return record
        return None

    def _hash(self, name: dns.name.Name) -> bytes:
        """RFC 5155 5. Errors: Bogus."""
        known = self._hashes.get(name)
        if known is None:
            self.effort.spend_hash()
            record = next(iter(self.records.values()), None)
            salt, iterations = (record.salt, record.iterations) if record is not None else (b"", 0)
            known = self._hashes[name] = nsec3_digest(name, salt, iterations)
        return known


def nsec3_digest(name: dns.name.Name, salt: bytes, iterations: int) -> bytes:
    """RFC 5155 5."""
    digest = hashlib.sha1(name.to_digestable() + salt).digest()
    for _ in range(iterations):
        digest = hashlib.sha1(digest + salt).digest()
    return digest


def _digest_of(owner: dns.name.Name, apex: dns.name.Name) -> bytes | None:
    """The hash that an owner name spells; None = it is no name of an NSEC3 record of this zone."""
    if owner == dns.name.root or owner.parent() != apex:
        return None
    try:
        return base64.b32hexdecode(owner.labels[0].upper())
    except (binascii.Error, ValueError):
        return None


def _opt_out(record: NSEC3) -> bool:
    return bool(record.flags & _OPT_OUT)
