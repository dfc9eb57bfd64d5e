"""Optional checks of a server certificate: FQDN form of its names, signature algorithm (delivery.md 5.5; sslconfig). Pure.

Both are off by default and only ever narrow what verification, or an unverified handshake of alert mail, has accepted.
"""

from __future__ import annotations

from collections.abc import Sequence

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509.oid import SignatureAlgorithmOID
from OpenSSL import crypto

from appliance_runtime.delivery.peer_names import PresentedNames, presented_names, subject_label
from appliance_runtime.logs.escaping import escape
from appliance_state.certificates.pem import NotReadable, load_der
from appliance_state.model.tls_settings import SslSettings
from appliance_state.names import is_fqdn

UNREADABLE = (
    ValueError,
    TypeError,
    NotReadable,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
    crypto.Error,
)
"""what the libraries raise when they come to the damaged part of a certificate that they have accepted as a whole"""
UNREADABLE_TEXT = "the certificate cannot be read"
NO_CERTIFICATE = "no certificate"

_ALLOWED_SIGNATURES = frozenset(
    {
        SignatureAlgorithmOID.RSA_WITH_SHA224,
        SignatureAlgorithmOID.RSA_WITH_SHA256,
        SignatureAlgorithmOID.RSA_WITH_SHA384,
        SignatureAlgorithmOID.RSA_WITH_SHA512,
        SignatureAlgorithmOID.ECDSA_WITH_SHA224,
        SignatureAlgorithmOID.ECDSA_WITH_SHA256,
        SignatureAlgorithmOID.ECDSA_WITH_SHA384,
        SignatureAlgorithmOID.ECDSA_WITH_SHA512,
        SignatureAlgorithmOID.ED25519,
        SignatureAlgorithmOID.ED448,
    }
)
_PSS_HASHES = ("sha224", "sha256", "sha384", "sha512")
_SIGNATURE_NAMES = {
    "1.2.840.113549.1.1.2": "md2WithRSAEncryption",
    "1.2.840.113549.1.1.3": "md4WithRSAEncryption",
    "1.2.840.113549.1.1.4": "md5WithRSAEncryption",
    "1.2.840.113549.1.1.5": "sha1WithRSAEncryption",
    "1.3.14.3.2.29": "sha1WithRSA",
    "1.2.840.113549.1.1.10": "rsassaPss",
    "1.2.840.10040.4.3": "dsaWithSHA1",
    "2.16.840.1.101.3.4.3.2": "dsa_with_SHA256",
    "1.2.840.10045.4.1": "ecdsa-with-SHA1",
}
"""as OpenSSL writes them"""


def peer_problem(chain: Sequence[bytes], settings: SslSettings) -> str | None:
    """What the enabled checks have against the server certificate, the first of `chain` (DER), where nothing else is verified."""
    if not settings.peer_cert_fqdn and not settings.peer_cert_x509:
        return None
    if not chain:
        return NO_CERTIFICATE
    try:
        server = load_der(chain[0])
        names = presented_names(server)
    except UNREADABLE:
        return UNREADABLE_TEXT
    return checks_problem(server, names, fqdn=settings.peer_cert_fqdn, x509_check=settings.peer_cert_x509)


def checks_problem(server: x509.Certificate, names: PresentedNames, *, fqdn: bool, x509_check: bool) -> str | None:
    """The first check that fails, in the order of delivery.md 5.4."""
    return (signature_problem(server) if x509_check else None) or (fqdn_problem(names) if fqdn else None)


def signature_problem(server: x509.Certificate) -> str | None:
    oid = server.signature_algorithm_oid
    if oid in _ALLOWED_SIGNATURES or (oid == SignatureAlgorithmOID.RSASSA_PSS and _hash_name(server) in _PSS_HASHES):
        return None
    label = _SIGNATURE_NAMES.get(oid.dotted_string, oid.dotted_string)
    return f"signature algorithm {label} is not allowed ({subject_label(server.subject)})"


def _hash_name(server: x509.Certificate) -> str:
    try:
        algorithm = server.signature_hash_algorithm
    except (ValueError, UnsupportedAlgorithm):
        return ""
    return algorithm.name if algorithm is not None else ""


def fqdn_problem(names: PresentedNames) -> str | None:
    checked = [(names.common_name, "commonName")] if names.common_name is not None else []
    for name, kind in [*checked, *((name, "dNSName") for name in names.dns_names)]:
        if not is_fqdn(name):
            return f'name "{escape(name)}" is not a fully qualified domain name ({kind})'
    return None
