"""Private keys: reading, kinds that are accepted, the pair of key and certificate (certconfig.md 3.2, 4.4)."""

from __future__ import annotations

import warnings

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from appliance_state.certificates.derivation import TooMuchWork, check_work, longest_number
from appliance_state.certificates.pem import NotReadable, blocks
from appliance_state.certificates.problem import KEY_KIND, CertificateProblem

KEY_LABELS = ("PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "DSA PRIVATE KEY")
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
MIN_RSA_BITS, MAX_RSA_BITS = 1024, 8192
_LONGEST_PASSPHRASE = 4096


class PassphraseNeeded(Exception):
    """The key is encrypted."""


def generate_rsa_key(bits: int) -> rsa.RSAPrivateKey:
    """Takes up to a second: call it in a thread."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def octets(passphrase: str) -> bytes:
    """A passphrase as UTF-8. Errors: NotReadable for one that no file can have."""
    try:
        encoded = passphrase.encode()
    except UnicodeEncodeError:
        raise NotReadable from None
    if b"\0" in encoded or len(encoded) > _LONGEST_PASSPHRASE:
        raise NotReadable
    return encoded


def read_private_key(text: str, passphrase: str | None = None) -> PrivateKeyTypes:
    """The first private key of a PEM text: PKCS#8, PKCS#1 or SEC1. May take seconds without letting go of the interpreter:
    `appliance_runtime.key_files` does it apart.

    Errors: NotReadable; PassphraseNeeded when it is encrypted and `passphrase` is None; CertificateProblem for one that is
    so long that checking it would take minutes.
    """
    block = next((block for block in blocks(text) if block.label in KEY_LABELS), None)
    if block is None or block.body is None:
        raise NotReadable
    headers, base64_text = _parts(block.body)
    encrypted = block.label.startswith("ENCRYPTED") or "ENCRYPTED" in headers
    if encrypted and passphrase is None:
        raise PassphraseNeeded
    lines = [base64_text[i : i + 64] for i in range(0, len(base64_text), 64)]
    head = f"{headers}\n\n" if headers else ""
    pem = f"-----BEGIN {block.label}-----\n{head}" + "\n".join(lines) + f"\n-----END {block.label}-----\n"
    try:
        if not headers:
            check_work(block.octets())
        if not encrypted and longest_number(block.octets()) > MAX_RSA_BITS // 8 + 1:
            raise CertificateProblem(KEY_KIND)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return serialization.load_pem_private_key(pem.encode("ascii"), octets(passphrase or "") if encrypted else None)
    except (ValueError, TypeError, UnsupportedAlgorithm, TooMuchWork):
        raise NotReadable from None


def _parts(body: str) -> tuple[str, str]:
    """Headers of an old-style encrypted key (RFC 1421 4.6), and the base64 text without blanks."""
    lines = [line.strip() for line in body.splitlines() if line.strip()]
    headers = [line for line in lines if ":" in line]
    return "\n".join(headers), "".join(line for line in lines if ":" not in line)


def accepted(key: PrivateKeyTypes) -> PrivateKey:
    """`key`, which is of a kind that services can use. Errors: CertificateProblem."""
    if isinstance(key, rsa.RSAPrivateKey) and MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
        return key
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in CURVES:
        return key
    raise CertificateProblem(KEY_KIND)


def private_key_pem(key: PrivateKeyTypes) -> bytes:
    """PKCS#8 without encryption: how keys are sealed."""
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def belongs(key: PrivateKeyTypes, certificate: x509.Certificate) -> bool:
    """Whether `certificate` certifies the public half of `key`."""
    return (own := public_octets(certificate)) is not None and own == _public_octets(key.public_key())


def read_sealed_key(sealed: bytes) -> PrivateKeyTypes:
    """A key as it is sealed. Its numbers were checked when it came in; that check takes 30 ms. Errors: NotReadable."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return serialization.load_pem_private_key(sealed, None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise NotReadable from None


def sealed_key_belongs(sealed: bytes, certificate: x509.Certificate) -> bool:
    """`belongs` for a key as it is sealed."""
    try:
        return belongs(read_sealed_key(sealed), certificate)
    except NotReadable:
        return False


def public_octets(certificate: x509.Certificate) -> bytes | None:
    """The public key of a certificate as DER; None = of a kind that cannot be read."""
    try:
        return _public_octets(certificate.public_key())
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None


def _public_octets(key: object) -> bytes:
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    public: bytes = key.public_bytes(*form)  # type: ignore[attr-defined]
    return public


def describe_key(certificate: x509.Certificate) -> tuple[str, int | None, str]:
    """Of the public key: type word, bits, text: ("rsa", 2048, "RSA 2048 bits"), ("ec", 256, "EC P-256")."""
    try:
        key = certificate.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return "unknown", None, "unknown"
    if isinstance(key, rsa.RSAPublicKey):
        return "rsa", key.key_size, f"RSA {key.key_size} bits"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return "ec", key.key_size, f"EC {CURVES.get(key.curve.name, key.curve.name)}"
    if isinstance(key, dsa.DSAPublicKey):
        return "dsa", key.key_size, f"DSA {key.key_size} bits"
    if isinstance(key, ed25519.Ed25519PublicKey):
        return "ed25519", None, "Ed25519"
    return ("ed448", None, "Ed448") if isinstance(key, ed448.Ed448PublicKey) else ("unknown", None, "unknown")
