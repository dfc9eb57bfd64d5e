"""TLSA records against the certificates of a peer (RFC 6698 2.1, RFC 7671; delivery.md 7.2, 7.4, 7.5). Pure: time and anchors come in.

A set succeeds when one record matches and its conditions hold: usages 0 and 1 want a path to the appliance's trusted
authorities too, usage 2 a path to the certificate that it names, usage 3 nothing more. What a record is compared with is
taken as the peer has sent it, never encoded anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cached_property

from attrs import define, frozen
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_der_public_key

from appliance_runtime.delivery.peer_checks import UNREADABLE
from appliance_runtime.delivery.verify import MAX_CERTIFICATES, Kind, Reference, Result, Rules, TrustAnchors, verify
from appliance_runtime.dns.answers import Tlsa
from appliance_state.certificates import der

PKIX_TA, PKIX_EE, DANE_TA, DANE_EE = range(4)
CERTIFICATE, PUBLIC_KEY = range(2)
FULL, SHA256, SHA512 = range(3)
_LENGTHS = {SHA256: 32, SHA512: 64}
_VERSION = 0xA0
"""tag of the version of a certificate, which stands in front unless that is 1"""
_SHORT = 24
"""hex digits of data that are shown whole"""


def usable(record: Tlsa) -> bool:
    """Whether a record can be compared with anything; what cannot is passed over, whatever it holds (RFC 7671 4)."""
    if record.usage not in range(4) or record.selector not in (CERTIFICATE, PUBLIC_KEY):
        return False
    if record.matching_type in _LENGTHS:
        return len(record.data) == _LENGTHS[record.matching_type]
    if record.matching_type != FULL:
        return False
    try:
        if record.selector == CERTIFICATE:
            x509.load_der_x509_certificate(record.data)
        else:
            load_der_public_key(record.data)
    except (*UNREADABLE, UnsupportedAlgorithm, TypeError):
        return False
    return True


def counting(records: Sequence[Tlsa]) -> tuple[Tlsa, ...]:
    """Usable records, without the weaker digests that a stronger one of their kind takes out of force (RFC 7671 9)."""
    known = [record for record in records if usable(record)]
    strong = {(record.usage, record.selector) for record in known if record.matching_type == SHA512}
    return tuple(
        record
        for record in known
        if not (record.usage in (DANE_TA, DANE_EE) and record.matching_type == SHA256 and (record.usage, record.selector) in strong)
    )


def label(record: Tlsa) -> str:
    """`TLSA 3 1 1`."""
    return f"TLSA {record.usage} {record.selector} {record.matching_type}"


def shown(record: Tlsa) -> str:
    """`TLSA 3 1 1 91751cee0a1ab841…e53ada`."""
    data = record.data.hex()
    return f"{label(record)} {data if len(data) <= _SHORT else f'{data[:16]}…{data[-6:]}'}"


def discouraged(record: Tlsa) -> str:
    """What is said of a record that a mail server should not publish (RFC 7672 3.1.3)."""
    return f" (usage {record.usage} is not recommended for SMTP)" if record.usage in (PKIX_TA, PKIX_EE) else ""


def public_key_of(certificate: bytes) -> bytes:
    """SubjectPublicKeyInfo of a certificate as it stands there, DER. Errors: ValueError."""
    try:
        parts = der.only(certificate).children()[0].children()
        position = 6 if parts[0].tag == _VERSION else 5
        return parts[position].data[parts[position - 1].end : parts[position].end]
    except IndexError:
        raise ValueError("no certificate") from None


def selected(certificate: bytes, selector: int, matching_type: int) -> bytes:
    """What a record of this form holds for a certificate. Errors: ValueError."""
    content = certificate if selector == CERTIFICATE else public_key_of(certificate)
    if matching_type == FULL:
        return content
    return (hashlib.sha256 if matching_type == SHA256 else hashlib.sha512)(content).digest()


@frozen(kw_only=True)
class Presented:
    """What a peer has shown, and what that is compared with besides the records.

    `chain`: what it sent, DER, server certificate first; `base`, `domain`, `host`: the names that its certificate may have.
    """

    chain: Sequence[bytes]
    base: str
    domain: str
    host: str
    anchors: TrustAnchors
    x509_check: bool
    fqdn_check: bool
    now: datetime

    @property
    def references(self) -> list[Reference]:
        names = {self.base: Kind.HOST, self.domain: Kind.DOMAIN, self.host: Kind.HOST}
        return [Reference(kind, name) for name, kind in names.items()]


@frozen(kw_only=True)
class Outcome:
    """Of one record: whether it holds a certificate of the peer, and what of its conditions fails then."""

    record: Tlsa
    matches: bool
    problem: str = ""

    @property
    def ok(self) -> bool:
        return self.matches and not self.problem


@frozen(kw_only=True)
class Match:
    """Of a set. `record`: the one that succeeded. `text`: why none did, as in delivery.md 7.5."""

    record: Tlsa | None = None
    text: str = ""

    @property
    def ok(self) -> bool:
        return self.record is not None


def match(records: Sequence[Tlsa], peer: Presented) -> Match:
    """Whether the certificate of the peer is the one that the records promise. CPU work only: call it off the loop."""
    failed: Outcome | None = None
    for outcome in outcomes(records, peer):
        if outcome.ok:
            return Match(record=outcome.record)
        if outcome.matches and failed is None:
            failed = outcome
    if failed is not None:
        return Match(text=f"{label(failed.record)} of {peer.base}: {failed.problem}")
    digest = _digest(peer)
    return Match(text=f"no TLSA record of {peer.base} matches the certificate (presented {digest})")


def outcomes(records: Sequence[Tlsa], peer: Presented) -> Iterator[Outcome]:
    """Of every record that counts, in order."""
    comparison = _Comparison(peer)
    for record in counting(records):
        yield comparison.outcome(record)


def _digest(peer: Presented) -> str:
    try:
        digest = selected(peer.chain[0], PUBLIC_KEY, SHA256).hex()
    except (ValueError, IndexError):
        return "no certificate"
    return f"3 1 1 {digest[:8]}…{digest[-4:]}"


@define(slots=False)
class _Comparison:
    """One peer against many records: paths are built once for each certificate that may end them."""

    peer: Presented

    def outcome(self, record: Tlsa) -> Outcome:
        if not self.peer.chain:
            return Outcome(record=record, matches=False)
        if record.usage == PKIX_TA:
            return self._authority(record)
        if record.usage == DANE_TA:
            return self._anchor(record)
        matches = self._holds(record, self.peer.chain[0])
        return Outcome(record=record, matches=matches, problem=self._pkix.text if matches and record.usage == PKIX_EE else "")

    def _authority(self, record: Tlsa) -> Outcome:
        """An authority of the path to one that the appliance trusts."""
        if self._pkix.ok:
            return Outcome(record=record, matches=any(self._holds(record, one) for one in self._pkix.path[1:]))
        sent = any(self._holds(record, one) for one in self.peer.chain[1:MAX_CERTIFICATES])
        return Outcome(record=record, matches=sent, problem=self._pkix.text)

    def _anchor(self, record: Tlsa) -> Outcome:
        """A certificate that the peer sent, or the record holds, in place of all authorities."""
        sent = [one for one in self.peer.chain[:MAX_CERTIFICATES] if self._holds(record, one)]
        if sent or (record.selector, record.matching_type) != (CERTIFICATE, FULL):
            results = [self._below(anchor) for anchor in sent]
        else:
            results = [result] if not (result := self._below(record.data)).unanchored else []
        if not results:
            return Outcome(record=record, matches=False)
        best = next((result for result in results if result.ok), results[0])
        return Outcome(record=record, matches=True, problem=best.text)

    def _holds(self, record: Tlsa, certificate: bytes) -> bool:
        key = (certificate, record.selector, record.matching_type)
        if key not in self._contents:
            try:
                self._contents[key] = selected(*key)
            except ValueError:
                self._contents[key] = None
        return self._contents[key] == record.data

    @cached_property
    def _contents(self) -> dict[tuple[bytes, int, int], bytes | None]:
        return {}

    @cached_property
    def _paths(self) -> dict[bytes, Result]:
        return {}

    @cached_property
    def _pkix(self) -> Result:
        peer = self.peer
        rules = Rules(hosted=True, x509_check=peer.x509_check, fqdn_check=peer.fqdn_check)
        return verify(peer.chain, peer.anchors, rules, peer.references, peer.now)

    def _below(self, anchor: bytes) -> Result:
        if anchor not in self._paths:
            peer = self.peer
            anchors = TrustAnchors([anchor], proven=True)
            self._paths[anchor] = verify(peer.chain, anchors, Rules(hosted=True), peer.references, peer.now)
        return self._paths[anchor]
