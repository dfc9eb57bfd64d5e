"""Signatures of DNS records: does a zone vouch for them at a given time (RFC 4034, RFC 4035 5.3, RFC 6840). No sockets, no clock.

The work that an answer can cause is bounded (`Effort`): it is chosen by whoever answers, who may repeat key tags and
signatures at will. Algorithms: RFC 8624 3.1, what may be met in the wild; a zone that has others only counts as unsigned.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import cast

import cryptography.exceptions
import dns.dnssec
import dns.exception
import dns.name
import dns.rdata
import dns.rdataset
import dns.rrset
from attrs import define, frozen
from dns.dnssectypes import Algorithm, DSDigest
from dns.rdatatype import RdataType
from dns.rdtypes.ANY.DNSKEY import DNSKEY
from dns.rdtypes.ANY.DS import DS
from dns.rdtypes.ANY.RRSIG import RRSIG
from dns.rdtypes.dnskeybase import Flag

from appliance_runtime.dns.names import shown

ALGORITHMS = frozenset(
    {
        Algorithm.RSASHA1,
        Algorithm.RSASHA1NSEC3SHA1,
        Algorithm.RSASHA256,
        Algorithm.RSASHA512,
        Algorithm.ECDSAP256SHA256,
        Algorithm.ECDSAP384SHA384,
        Algorithm.ED25519,
        Algorithm.ED448,
    }
)
DIGESTS = frozenset({DSDigest.SHA1, DSDigest.SHA256, DSDigest.SHA384})
MAX_SIGNATURES = 32
"""cryptographic checks for one answer of a server"""
MAX_PER_RRSET = 8
MAX_HASHES = 64
"""hashes of NSEC3 names and of keys for one answer of a server"""
MAX_RECORDS = 500
"""records under one signature: each check puts all of them in order"""
MAX_KEYS = 64
"""DNSKEY or DS records of a zone"""


class Bogus(Exception):
    """Not what the zone has signed. The text is one short line."""


@define
class Effort:
    """What may still be spent on one answer of a server."""

    signatures: int = MAX_SIGNATURES
    hashes: int = MAX_HASHES

    def spend_signature(self) -> None:
        """Errors: Bogus."""
        self.signatures -= 1
        if self.signatures < 0:
            raise Bogus("checking the answer takes too many signatures")

    def spend_hash(self) -> None:
        """Errors: Bogus."""
        self.hashes -= 1
        if self.hashes < 0:
            raise Bogus("checking the answer takes too many hashes")


@frozen(kw_only=True)
class Lifetime:
    """How long signed records may be kept: `ttl` seconds from their arrival, and not beyond `until`, the end of a signature."""

    ttl: int
    until: datetime

    def expires(self, now: datetime) -> datetime:
        return min(now + timedelta(seconds=self.ttl), self.until)

    def within(self, *others: Lifetime) -> Lifetime:
        """The shortest of all."""
        return Lifetime(ttl=min([self.ttl, *(one.ttl for one in others)]), until=min([self.until, *(one.until for one in others)]))


@frozen(kw_only=True)
class Zone:
    """A zone that is signed up to a trust anchor. `keys`: by algorithm and tag, of which several keys may have the same."""

    name: dns.name.Name
    keys: Mapping[tuple[int, int], tuple[DNSKEY, ...]]

    @classmethod
    def of(cls, name: dns.name.Name, keys: Iterable[DNSKEY]) -> Zone:
        by_tag: dict[tuple[int, int], tuple[DNSKEY, ...]] = {}
        for key in keys:
            tag = key.algorithm, key.key_id()
            by_tag[tag] = (*by_tag.get(tag, ()), key)
        return cls(name=name, keys=by_tag)


@frozen(kw_only=True)
class Verified:
    """Records that a zone vouches for. `wildcard`: the name below which they stand for any name; None = exact."""

    lifetime: Lifetime
    wildcard: dns.name.Name | None = None


def label(rrset: dns.rrset.RRset) -> str:
    """`d.test MX`."""
    return f"{shown(rrset.name)} {rrset.rdtype.name}"


def signatures_of(section: Iterable[dns.rrset.RRset], rrset: dns.rrset.RRset) -> list[RRSIG]:
    return [
        cast(RRSIG, signature)
        for one in section
        if one.rdtype == RdataType.RRSIG and one.covers == rrset.rdtype and one.name == rrset.name
        for signature in one
    ]


def verify(rrset: dns.rrset.RRset, signatures: Sequence[RRSIG], zone: Zone, now: datetime, effort: Effort) -> Verified:
    """One good signature of `zone` is enough (RFC 4035 5.3.3). Errors: Bogus."""
    if not rrset.name.is_subdomain(zone.name):
        raise Bogus(f"{label(rrset)} does not belong to {shown(zone.name)}")
    if len(rrset) > MAX_RECORDS:
        raise Bogus(f"{label(rrset)} has too many records")
    own = [signature for signature in signatures if signature.signer == zone.name]
    reason = f"no signature of {label(rrset)}"
    attempts = 0
    for signature in own:
        problem = _unusable(rrset, signature, zone, now)
        for key in () if problem else zone.keys.get((signature.algorithm, signature.key_tag), ()):
            attempts += 1
            if attempts > MAX_PER_RRSET:
                raise Bogus(f"too many signatures of {label(rrset)}")
            effort.spend_signature()
            if _signed_with(rrset, signature, key, now):
                return _verified(rrset, signature)
            problem = f"wrong signature of {label(rrset)}"
        reason = problem or f"no key of {shown(zone.name)} for the signature of {label(rrset)}"
    raise Bogus(reason)


def _unusable(rrset: dns.rrset.RRset, signature: RRSIG, zone: Zone, now: datetime) -> str | None:
    """RFC 4035 5.3.1, without the key."""
    if signature.expiration < now.timestamp():
        return f"signature of {label(rrset)} has expired"
    if signature.inception > now.timestamp():
        return f"signature of {label(rrset)} is not yet valid"
    if not len(zone.name) - 1 <= signature.labels <= _labels(rrset.name):
        return f"wrong signature of {label(rrset)}"
    return None


def _labels(name: dns.name.Name) -> int:
    """RFC 4034 3.1.3: without the root, and without a leading asterisk."""
    return len(name) - 1 - name.is_wild()


def _signed_with(rrset: dns.rrset.RRset, signature: RRSIG, key: DNSKEY, now: datetime) -> bool:
    keys: dict[dns.name.Name, dns.rdataset.Rdataset | dns.node.Node] = {signature.signer: dns.rdataset.from_rdata(0, key)}
    try:
        dns.dnssec.validate_rrsig(rrset, signature, keys, now=now.timestamp(), policy=dns.dnssec.allow_all_policy)
    except (dns.exception.DNSException, cryptography.exceptions.UnsupportedAlgorithm, ValueError, struct.error):
        return False
    return True


def _verified(rrset: dns.rrset.RRset, signature: RRSIG) -> Verified:
    """RFC 4035 5.3.3: kept no longer than the TTL that was signed, nor than the signature."""
    ttl = min(rrset.ttl, signature.original_ttl)
    lifetime = Lifetime(ttl=ttl, until=datetime.fromtimestamp(signature.expiration, UTC))
    if signature.labels == _labels(rrset.name):
        return Verified(lifetime=lifetime)
    return Verified(lifetime=lifetime, wildcard=rrset.name.split(signature.labels + 1)[1])


# -- from a delegation to the keys ------------------------------------------------------------------------------------------


def usable_delegation(records: Iterable[dns.rdata.Rdata]) -> list[DS]:
    """DS records with an algorithm and digest known here; none = the zone counts as unsigned (RFC 4035 5.2)."""
    known = [ds for ds in cast("Iterable[DS]", records) if ds.algorithm in ALGORITHMS and ds.digest_type in DIGESTS]
    # RFC 4509 3: SHA-1 counts only where nothing better is published.
    better = [ds for ds in known if ds.digest_type != DSDigest.SHA1]
    return better or known


def zone_of_keys(
    rrset: dns.rrset.RRset,
    signatures: Sequence[RRSIG],
    delegation: Sequence[DS | DNSKEY],
    now: datetime,
    effort: Effort,
) -> tuple[Zone, Lifetime]:
    """The zone whose DNSKEY records are signed with a key that `delegation` (DS records, or keys as anchors) names. Errors: Bogus."""
    if not signatures:
        raise Bogus(f"no signature of {label(rrset)}")
    if max(len(rrset), len(delegation)) > MAX_KEYS:
        raise Bogus(f"{label(rrset)} or its delegation has too many records")
    zone = Zone.of(rrset.name, (key for key in cast("Iterable[DNSKEY]", rrset) if _usable_key(key)))
    trusted = [key for one in delegation for key in _named(one, zone, effort)]
    if not trusted:
        raise Bogus(f"none of {label(rrset)} is a key that the delegation names")
    return zone, verify(rrset, signatures, Zone.of(rrset.name, dict.fromkeys(trusted)), now, effort).lifetime


def _usable_key(key: DNSKEY) -> bool:
    """RFC 4034 2.1; a revoked key signs nothing but its own end (RFC 5011 2.1)."""
    return bool(key.flags & Flag.ZONE) and not key.flags & Flag.REVOKE and key.protocol == 3 and key.algorithm in ALGORITHMS


def _named(one: DS | DNSKEY, zone: Zone, effort: Effort) -> list[DNSKEY]:
    """The keys of a zone that a DS record or an anchor names. Errors: Bogus, when that takes too much work."""
    if isinstance(one, DNSKEY):
        return [key for key in zone.keys.get((one.algorithm, one.key_id()), ()) if key == one]
    if one.digest_type not in DIGESTS:
        return []
    named = []
    for key in zone.keys.get((one.algorithm, one.key_tag), ()):
        effort.spend_hash()
        if dns.dnssec.make_ds(zone.name, key, one.digest_type, policy=dns.dnssec.allow_all_policy).digest == one.digest:
            named.append(key)
    return named
