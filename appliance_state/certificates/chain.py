"""Issuers: who signed whom, intermediates of a leaf, and whether a chain ends in a trusted authority (certconfig.md 4.4, 4.5).

An issuer is recognised by its name and its signature (RFC 5280 6.1.3 (a) (1), (4)).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from OpenSSL import crypto

from appliance_state.certificates.names import names_of
from appliance_state.certificates.pem import certificate_pem
from appliance_state.certificates.problem import NOT_AUTHORITY, ROOT, TOO_MANY_INTERMEDIATES, UNRELATED, CertificateProblem
from appliance_state.model.certificates import MAX_INTERMEDIATES

_MOST_CANDIDATES = 100
"""certificates of a file that are looked at: bounds the signatures that are checked"""
_MOST_IN_A_TEXT = 30
"""certificates of a text that are put in order"""
_NO_CHECK_TIME = 0x200000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME"""


def is_authority(certificate: x509.Certificate) -> bool:
    """The CA flag is present and set."""
    return names_of(certificate).authority


def signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Name and signature; SHA-1, as old roots have it, counts as well."""
    if names_of(certificate).issuer_der != names_of(issuer).subject_der:
        return False
    return has_signed(issuer, certificate)


def has_signed(issuer: x509.Certificate, document: x509.Certificate | x509.CertificateRevocationList) -> bool:
    """Whether the key of `issuer` made the signature of `document`; names are not compared."""
    signed = document.tbs_certificate_bytes if isinstance(document, x509.Certificate) else document.tbs_certlist_bytes
    try:
        algorithm = (document.signature_hash_algorithm, document.signature_algorithm_parameters)
        _verify(issuer.public_key(), document.signature, signed, *algorithm)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _verify(
    key: CertificatePublicKeyTypes, signature: bytes, signed: bytes, digest: hashes.HashAlgorithm | None, parameters: object
) -> None:
    """Errors: InvalidSignature and what an odd key raises."""
    match key:
        case rsa.RSAPublicKey() if digest and isinstance(parameters, padding.PKCS1v15 | padding.PSS):
            key.verify(signature, signed, parameters, digest)
        case ec.EllipticCurvePublicKey() if isinstance(parameters, ec.ECDSA):
            key.verify(signature, signed, parameters)
        case dsa.DSAPublicKey() if digest:
            key.verify(signature, signed, digest)
        case ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey():
            key.verify(signature, signed)
        case _:
            raise InvalidSignature


def is_self_signed(certificate: x509.Certificate) -> bool:
    return signed_by(certificate, certificate)


def add_intermediates(
    leaf: x509.Certificate, present: Sequence[x509.Certificate], new: Iterable[x509.Certificate]
) -> list[x509.Certificate]:
    """`present` and then `new`, one by one; one that is there already is not added again. Errors: CertificateProblem."""
    chain = list(present)
    for certificate in new:
        if certificate in chain:
            continue
        if is_self_signed(certificate):
            raise CertificateProblem(ROOT)
        if not is_authority(certificate):
            raise CertificateProblem(NOT_AUTHORITY)
        if not any(signed_by(child, certificate) for child in (leaf, *chain)):
            raise CertificateProblem(UNRELATED)
        if len(chain) == MAX_INTERMEDIATES:
            raise CertificateProblem(TOO_MANY_INTERMEDIATES)
        chain.append(certificate)
    return chain


def leaf_first(certificates: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    """The certificates of a text that may have them in any order: the leaf, its issuers from below, then what has no place.

    The first one is the leaf, unless it has signed another one of them; then it is the first that has signed none.
    """
    given = list(dict.fromkeys(certificates))
    if len(given) > _MOST_IN_A_TEXT:
        return given
    leaf = next((c for c in given if not any(signed_by(other, c) for other in given if other is not c)), given[0])
    return [leaf, *from_below([leaf], [certificate for certificate in given if certificate is not leaf])]


def from_below(present: Sequence[x509.Certificate], others: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    """`others` so that each has signed one of `present` or one before it, as far as that can be; the rest at the end."""
    left = list(others)
    if len(left) > _MOST_IN_A_TEXT:
        return left
    ordered: list[x509.Certificate] = []
    while issuer := next((c for c in left if any(signed_by(child, c) for child in (*present, *ordered))), None):
        ordered.append(issuer)
        left.remove(issuer)
    return ordered + left


def in_issuer_order(leaf: x509.Certificate, candidates: Iterable[x509.Certificate]) -> list[x509.Certificate]:
    """The intermediates of `leaf` among `candidates`, its issuer first; roots and unrelated ones are left out."""
    left = [c for c in list(candidates)[:_MOST_CANDIDATES] if c != leaf and is_authority(c) and not is_self_signed(c)]
    chain: list[x509.Certificate] = []
    position = -1
    while position < len(chain) and len(chain) < MAX_INTERMEDIATES:
        child = leaf if position < 0 else chain[position]
        for issuer in [candidate for candidate in left if signed_by(child, candidate)]:
            if issuer not in chain and len(chain) < MAX_INTERMEDIATES:
                chain.append(issuer)
        position += 1
    return chain


def chain_problem(
    leaf: x509.Certificate, intermediates: Iterable[x509.Certificate], anchors: Iterable[bytes], now: datetime | None
) -> str | None:
    """OpenSSL's text for why no chain leads to one of `anchors` (DER), or None. `now` = None: validity does not count."""
    store = crypto.X509Store()
    store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
    if now is None:
        store.set_flags(_NO_CHECK_TIME)
    else:
        store.set_time(now.astimezone(UTC).replace(tzinfo=None))
    for anchor in anchors:
        with contextlib.suppress(crypto.Error):  # one that OpenSSL cannot read is no anchor
            store.add_cert(crypto.load_certificate(crypto.FILETYPE_ASN1, anchor))
    try:
        chain = [_for_openssl(certificate) for certificate in intermediates]
        crypto.X509StoreContext(store, _for_openssl(leaf), chain).verify_certificate()
    except crypto.X509StoreContextError as error:
        return str(error)
    except crypto.Error:
        return "the certificate cannot be read"
    return None


def _for_openssl(certificate: x509.Certificate) -> crypto.X509:
    return crypto.load_certificate(crypto.FILETYPE_PEM, certificate_pem(certificate).encode("ascii"))
