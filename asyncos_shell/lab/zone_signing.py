"""Signatures of the lab zones, good and broken, made when they are asked for and for the time of the laboratory (RFC 4034).

A zone has a key-signing and a zone-signing key. Each way to break a zone or a record is a setting. Keys are for laboratories only.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Literal, cast

import dns.dnssec
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rrset
from attrs import define, field, frozen
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from dns.dnssectypes import Algorithm, DSDigest
from dns.rdatatype import RdataType
from dns.rdtypes.ANY.DNSKEY import DNSKEY
from dns.rdtypes.ANY.RRSIG import RRSIG

SigningKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey
Flaw = Literal["bogus", "expired", "future", "wrong-key", "unsigned"]
"""bit changed, over for ten days, begins in ten days, key that the zone does not have, none at all"""
Delegation = Literal["good", "none", "wrong-key", "wrong-digest", "unknown-digest"]
"""DS records of the zone in the zone above; none = an unsigned delegation to a signed zone"""

KEY_TTL = 3600
BEFORE, AFTER = timedelta(days=1), timedelta(days=14)
_KSK, _ZSK = 257, 256
_UNKNOWN_DIGEST = 200
_JUNK = base64.b64encode(b"laboratory" * 6).decode()

_MAKERS: dict[Algorithm, Callable[[], SigningKey]] = {
    Algorithm.ECDSAP256SHA256: lambda: ec.generate_private_key(ec.SECP256R1()),
    Algorithm.ECDSAP384SHA384: lambda: ec.generate_private_key(ec.SECP384R1()),
    Algorithm.ED25519: ed25519.Ed25519PrivateKey.generate,
    Algorithm.ED448: ed448.Ed448PrivateKey.generate,
}
_RSA = (Algorithm.RSASHA1, Algorithm.RSASHA1NSEC3SHA1, Algorithm.RSASHA256, Algorithm.RSASHA512)


@frozen(kw_only=True)
class Nsec3:
    """Denial by hashed names."""

    iterations: int = 0
    salt: bytes = b""
    opt_out: bool = False


@define(eq=False)
class Signing:
    """How a zone is signed. `algorithm`: one that the library does not know makes signatures that nobody can check.

    `nsec3` None = denial by NSEC.
    """

    algorithm: int = Algorithm.ECDSAP256SHA256
    nsec3: Nsec3 | None = None
    delegation: Delegation = "good"
    _keys: dict[int, tuple[SigningKey, DNSKEY]] = field(factory=dict, init=False)
    _stranger: tuple[SigningKey, DNSKEY] | None = field(default=None, init=False)

    @property
    def delegated(self) -> bool:
        """There are DS records above."""
        return self.delegation != "none"

    @property
    def known(self) -> bool:
        """A validator can check the signatures."""
        return self.algorithm in _MAKERS or self.algorithm in _RSA

    def keys(self, zone: dns.name.Name) -> dns.rrset.RRset:
        return dns.rrset.from_rdata(zone, KEY_TTL, *(self._key(flags)[1] for flags in (_KSK, _ZSK)))

    def ds(self, zone: dns.name.Name) -> dns.rrset.RRset:
        """What the zone above says of the keys."""
        key = (self._foreign() if self.delegation == "wrong-key" else self._key(_KSK))[1]
        ds = dns.dnssec.make_ds(zone, key, DSDigest.SHA256, policy=dns.dnssec.allow_all_policy)
        if self.delegation == "wrong-digest":
            return dns.rrset.from_rdata(zone, KEY_TTL, ds.replace(digest=bytes([ds.digest[0] ^ 1]) + ds.digest[1:]))
        if self.delegation == "unknown-digest":
            return dns.rrset.from_rdata(zone, KEY_TTL, ds.replace(digest_type=_UNKNOWN_DIGEST))
        return dns.rrset.from_rdata(zone, KEY_TTL, ds)

    def sign(self, rrset: dns.rrset.RRset, zone: dns.name.Name, now: datetime, flaw: Flaw | None = None) -> RRSIG:
        """The signature of records of `zone`, by its key for them."""
        key, dnskey = self._key(_KSK if rrset.rdtype == RdataType.DNSKEY else _ZSK)
        if flaw == "wrong-key":
            key, dnskey = self._foreign()
        shift = {"expired": -AFTER - timedelta(days=10), "future": BEFORE + timedelta(days=10)}.get(flaw or "", timedelta(0))
        signature = self._signature(rrset, zone, key, dnskey, now - BEFORE + shift, now + AFTER + shift)
        if flaw == "bogus":
            octets = signature.signature
            signature = cast(RRSIG, signature.replace(signature=octets[:-1] + bytes([octets[-1] ^ 1])))
        return signature

    def _signature(
        self, rrset: dns.rrset.RRset, zone: dns.name.Name, key: SigningKey, dnskey: DNSKEY, begins: datetime, ends: datetime
    ) -> RRSIG:
        if self.known:
            return dns.dnssec.sign(rrset, key, zone, dnskey, inception=begins, expiration=ends, policy=dns.dnssec.allow_all_policy)
        labels = len(rrset.name) - 1 - rrset.name.is_wild()
        times = f"{int(ends.timestamp())} {int(begins.timestamp())}"
        text = f"{rrset.rdtype.name} {dnskey.algorithm} {labels} {rrset.ttl} {times} {dnskey.key_id()} {zone} {_JUNK}"
        return cast(RRSIG, dns.rdata.from_text(dns.rdataclass.IN, RdataType.RRSIG, text))

    def _key(self, flags: int) -> tuple[SigningKey, DNSKEY]:
        if flags not in self._keys:
            self._keys[flags] = self._made(flags)
        return self._keys[flags]

    def _foreign(self) -> tuple[SigningKey, DNSKEY]:
        if self._stranger is None:
            self._stranger = self._made(_ZSK)
        return self._stranger

    def _made(self, flags: int) -> tuple[SigningKey, DNSKEY]:
        algorithm = Algorithm.make(self.algorithm)
        if algorithm in _RSA:
            key: SigningKey = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        else:
            key = _MAKERS.get(algorithm, _MAKERS[Algorithm.ECDSAP256SHA256])()
        if self.known:
            return key, dns.dnssec.make_dnskey(key.public_key(), algorithm, flags=flags)
        text = f"{flags} 3 {int(algorithm)} {_JUNK}"
        return key, cast(DNSKEY, dns.rdata.from_text(dns.rdataclass.IN, RdataType.DNSKEY, text))
