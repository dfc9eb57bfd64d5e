"""Verification of a server certificate: chain, optional checks, identity (delivery.md 5). Pure: time and anchors come in.

OpenSSL builds the path over the certificates that the peer sent and the trusted authorities, each of which may end it,
self-signed or not, and may itself be the server certificate (RFC 5280 6.1 leaves the choice of anchors to the relying
party). Purpose is checked here on the whole path (RFC 5280 4.2.1.12). The first check that fails gives the text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from enum import Enum

from attrs import evolve, frozen
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import crypto

from appliance_runtime.delivery.peer_checks import NO_CERTIFICATE, UNREADABLE, UNREADABLE_TEXT, checks_problem
from appliance_runtime.delivery.peer_names import PresentedNames, is_address, matches, presented_names, subject_label
from appliance_runtime.logs.escaping import escape
from appliance_state.certificates.crl import RevocationLists
from appliance_state.certificates.pem import load_der

MAX_CERTIFICATES = 20
MAX_SHOWN_NAMES = 5
TOO_SLOW = "verification took too long"
_MISSING_ISSUER = (2, 20, 21)
"""OpenSSL's X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, ..._LOCALLY, UNABLE_TO_VERIFY_LEAF_SIGNATURE"""
_UNANCHORED = (*_MISSING_ISSUER, 18, 19)
"""and for a path that ends at a self-signed certificate which nobody trusts"""
_TEXTS = {
    7: "certificate signature failure",
    9: "certificate is not yet valid",
    10: "certificate has expired",
    18: "self-signed certificate",
    19: "self-signed certificate in certificate chain",
    24: "invalid CA certificate",
    26: "unsuitable certificate purpose",
    47: "permitted subtree violation",
}
"""OpenSSL's codes and the wording that is kept here, whatever a later version says; the wording of others is its own"""


class Kind(Enum):
    """Where a reference identity comes from, in the order of listings."""

    DOMAIN = "destination domain"
    HOST = "mail exchanger"
    PTR = "host name of the address"
    ROUTE = "SMTP route host"


@frozen
class Reference:
    """A name that the peer may have. `label`: what it is called in the log."""

    kind: Kind
    name: str
    label: str = ""

    def __str__(self) -> str:
        return f"{escape(self.name)} ({self.label or self.kind.value})"


@frozen(kw_only=True)
class Result:
    """`text`: why not, as in the table of delivery.md 5.4. `presented`, `reference`: what matched."""

    ok: bool
    text: str = ""
    presented: str = ""
    reference: str = ""
    matched: str = ""
    """the name of the reference alone"""
    mismatch: bool = False
    """only the identity failed"""
    path: tuple[bytes, ...] = ()
    """DER of the certificates from the server's to the trusted authority; empty when a check of the path failed"""
    unanchored: bool = False
    """no path leads to a trusted authority"""

    @property
    def short(self) -> str:
        """The text without what differs from one attempt to the next."""
        return "hostname mismatch" if self.mismatch else self.text


@frozen(kw_only=True)
class Rules:
    """What to check beyond the chain."""

    hosted: bool
    """level 6: names of the certificate as of hosted domains"""
    x509_check: bool = False
    fqdn_check: bool = False


class TrustAnchors:
    """The trusted authorities, parsed once. What is not a certificate is no anchor.

    `proven`: a self-signed one must have signed itself, too. Of those that an operator has chosen nothing is asked.
    `revocations`: lists of revoked certificates that count.
    """

    def __init__(self, certificates: Iterable[bytes], *, proven: bool = False, revocations: RevocationLists | None = None) -> None:
        self.revocations = revocations
        self._flags = crypto.X509StoreFlags.PARTIAL_CHAIN
        if proven:
            self._flags |= crypto.X509StoreFlags.CHECK_SS_SIGNATURE
        self._certificates: list[crypto.X509] = []
        for der in certificates:
            parsed = _parsed(der)
            if parsed is not None:
                self._certificates.append(parsed)

    def store(self, now: datetime) -> crypto.X509Store:
        """A store of its own for each verification, since it carries the time: 0.1 ms."""
        store = crypto.X509Store()
        for certificate in self._certificates:
            store.add_cert(certificate)
        store.set_flags(self._flags)
        store.set_time(now.astimezone(UTC).replace(tzinfo=None))
        return store


def verify(peer_chain: Sequence[bytes], anchors: TrustAnchors, rules: Rules, references: Sequence[Reference], now: datetime) -> Result:
    """`peer_chain`: what the peer sent, DER, server certificate first. CPU work only; up to milliseconds, call it off the loop."""
    checked = check_certificate(peer_chain, anchors, rules, now)
    if not checked.ok:
        return checked
    names = presented_names(load_der(peer_chain[0]))
    return evolve(identify(names, rules, references), path=checked.path)


def check_certificate(peer_chain: Sequence[bytes], anchors: TrustAnchors, rules: Rules, now: datetime) -> Result:
    """Path and optional checks, without regard to whose certificate it is. CPU work."""
    if not peer_chain:
        return Result(ok=False, text=NO_CERTIFICATE)
    if len(peer_chain) > MAX_CERTIFICATES:
        return Result(ok=False, text="certificate chain too long")
    try:
        server = load_der(peer_chain[0])
        names = presented_names(server)
        found = _path(peer_chain, anchors, now)
        if found.text:
            return found
        problem = checks_problem(server, names, fqdn=rules.fqdn_check, x509_check=rules.x509_check)
    except UNREADABLE:
        return Result(ok=False, text=UNREADABLE_TEXT)
    return evolve(found, ok=False, text=problem) if problem else found


def identify(names: PresentedNames, rules: Rules, references: Sequence[Reference]) -> Result:
    """The identity rule of delivery.md 5.2."""
    usable = [reference for reference in references if reference.name and not is_address(reference.name)]
    by_dns_name = usable if rules.hosted else [r for r in usable if r.kind is Kind.DOMAIN]
    for name in names.dns_names:
        for reference in by_dns_name:
            if matches(name, reference.name):
                return Result(ok=True, presented=f"dNSName {escape(name)}", reference=str(reference), matched=escape(reference.name))
    if names.common_name is not None and not (rules.hosted and names.dns_names):
        for reference in usable:
            if matches(names.common_name, reference.name):
                presented = f"commonName {escape(names.common_name)}"
                return Result(ok=True, presented=presented, reference=str(reference), matched=escape(reference.name))
    expected = ", ".join(dict.fromkeys(escape(reference.name.lower()) for reference in usable))
    shown = [f"CN={names.common_name}"] if names.common_name is not None else []
    shown += [f"dNSName={name}" for name in names.dns_names]
    more = ["…"] if len(shown) > MAX_SHOWN_NAMES else []
    presented = ", ".join([*map(escape, shown[:MAX_SHOWN_NAMES]), *more]) or "no name"
    return Result(ok=False, text=f"hostname mismatch (expected {expected}; presented {presented})", mismatch=True)


def _path(peer_chain: Sequence[bytes], anchors: TrustAnchors, now: datetime) -> Result:
    """The path to a trusted authority, or why there is none. Errors: UNREADABLE."""
    parsed = [_parsed(der) for der in peer_chain]
    if parsed[0] is None:
        raise ValueError
    context = crypto.X509StoreContext(anchors.store(now), parsed[0], [certificate for certificate in parsed[1:] if certificate])
    try:
        path = context.get_verified_chain()
    except crypto.X509StoreContextError as error:
        concerned = _read(error.certificate)
        code = error.errors[0]
        if code in _MISSING_ISSUER:
            text = f"unable to get local issuer certificate (issuer: {subject_label(concerned.issuer)})"
        else:
            text = f"{_TEXTS.get(code, error.errors[2])} ({subject_label(concerned.subject)})"
        return Result(ok=False, text=text, unanchored=code in _UNANCHORED)
    certificates = list(map(_read, path))
    for position, certificate in enumerate(certificates):
        if not _serves(certificate, leaf=position == 0):
            return Result(ok=False, text=f"unsuitable certificate purpose ({subject_label(certificate.subject)})")
    if anchors.revocations and (problem := anchors.revocations.problem(certificates, now)):
        return Result(ok=False, text=problem)
    return Result(ok=True, path=tuple(certificate.public_bytes(Encoding.DER) for certificate in certificates))


def _read(certificate: crypto.X509) -> x509.Certificate:
    """Errors: UNREADABLE; OpenSSL does not give out again every certificate that it has taken."""
    return load_der(crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate))


def _serves(certificate: x509.Certificate, *, leaf: bool) -> bool:
    """Whether extended key usage, and for the server key usage, allow a TLS server."""
    try:
        usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        if not {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE} & set(usages):
            return False
    except x509.ExtensionNotFound:
        pass
    if not leaf:
        return True
    try:
        key = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return key.digital_signature or key.key_encipherment or key.key_agreement


def _parsed(der: bytes) -> crypto.X509 | None:
    try:
        return crypto.load_certificate(crypto.FILETYPE_ASN1, der)
    except (crypto.Error, ValueError):
        return None
