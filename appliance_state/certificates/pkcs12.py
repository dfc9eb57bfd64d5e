"""PKCS#12 files (RFC 7292): a key, its certificate and the intermediates (certconfig.md 3.5, 4.3)."""

from __future__ import annotations

import warnings

from attrs import field, frozen
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, KeySerializationEncryption, PrivateFormat, pkcs12

from appliance_state.certificates.chain import in_issuer_order
from appliance_state.certificates.derivation import TooMuchWork, check_work
from appliance_state.certificates.keys import PrivateKey, accepted, belongs, octets
from appliance_state.certificates.pem import NotReadable, load_der
from appliance_state.certificates.problem import NO_CERTIFICATE, NO_KEY, NOT_PKCS12, PKCS12_MISMATCH, CertificateProblem

MAX_SIZE = 4 * 1024 * 1024
_ITERATIONS = 100_000


@frozen(kw_only=True)
class KeyPair:
    """A leaf with its key. `intermediates` begin with the issuer of the leaf."""

    certificate: x509.Certificate
    key: PrivateKey = field(repr=False)
    intermediates: tuple[x509.Certificate, ...] = ()


def read_pkcs12(data: bytes, passphrase: str) -> KeyPair:
    """What a file holds; seconds of work, see `appliance_runtime.key_files`. Errors: CertificateProblem with the text of certconfig.md 4.3 or 4.4."""
    if len(data) > MAX_SIZE:
        raise CertificateProblem(NOT_PKCS12)
    try:
        check_work(data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = pkcs12.load_pkcs12(data, octets(passphrase))
            found = [load_der(c.certificate.public_bytes(Encoding.DER)) for c in (content.cert, *content.additional_certs) if c is not None]
    except (ValueError, TypeError, UnsupportedAlgorithm, TooMuchWork, NotReadable):
        raise CertificateProblem(NOT_PKCS12) from None
    if content.key is None:
        raise CertificateProblem(NO_KEY)
    if not found:
        raise CertificateProblem(NO_CERTIFICATE)
    leaf = next((certificate for certificate in found if belongs(content.key, certificate)), None)
    if leaf is None:
        raise CertificateProblem(PKCS12_MISMATCH)
    return KeyPair(certificate=leaf, key=accepted(content.key), intermediates=tuple(in_issuer_order(leaf, found)))


def write_pkcs12(pair: KeyPair, name: str, passphrase: str, *, legacy: bool = False) -> bytes:
    """A file with `name` as friendly name; as lengthy as reading one. `legacy`: 3DES and SHA-1 for programs that know nothing newer."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pkcs12.serialize_key_and_certificates(
            name.encode(), pair.key, pair.certificate, pair.intermediates, _encryption(octets(passphrase), legacy)
        )


def _encryption(passphrase: bytes, legacy: bool) -> KeySerializationEncryption:
    builder = PrivateFormat.PKCS12.encryption_builder()
    if legacy:
        return (
            builder.kdf_rounds(2048)
            .key_cert_algorithm(pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC)
            .hmac_hash(hashes.SHA1())
            .build(passphrase)
        )
    return (
        builder.kdf_rounds(_ITERATIONS)
        .key_cert_algorithm(pkcs12.PBES.PBESv2SHA256AndAES256CBC)
        .hmac_hash(hashes.SHA256())
        .build(passphrase)
    )
