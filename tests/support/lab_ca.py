"""A certificate authority for tests: roots, intermediates and leaves of any kind, and the openssl command as second opinion."""

from __future__ import annotations

import functools
import itertools
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from attrs import field, frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.x509.oid import NameOID

from appliance_state.certificates.keys import private_key_pem
from appliance_state.certificates.pem import certificate_pem

START = datetime(2026, 1, 1, tzinfo=UTC)
END = datetime(2030, 1, 1, tzinfo=UTC)
_serials = itertools.count(0x0A1B2C)


@functools.cache
def rsa_key(number: int = 0, bits: int = 2048) -> rsa.RSAPrivateKey:
    """A key that stays the same in a run; `number` tells several apart."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@frozen
class Issued:
    certificate: x509.Certificate
    key: CertificateIssuerPrivateKeyTypes = field(repr=False)

    @property
    def pem(self) -> str:
        return certificate_pem(self.certificate)

    @property
    def key_pem(self) -> str:
        return private_key_pem(self.key).decode()  # type: ignore[arg-type]


def lab_name(common_name: str | None) -> x509.Name:
    """C=JP,O=Lab,CN=…"""
    attributes = [x509.NameAttribute(NameOID.COUNTRY_NAME, "JP"), x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Lab")]
    if common_name is not None:
        attributes.append(x509.NameAttribute(NameOID.COMMON_NAME, common_name))
    return x509.Name(attributes)


def issue(
    common_name: str | None,
    issuer: Issued | None = None,
    *,
    dns: Sequence[str] = (),
    key: CertificateIssuerPrivateKeyTypes | None = None,
    authority: bool = False,
    start: datetime = START,
    end: datetime = END,
    name: x509.Name | None = None,
) -> Issued:
    """A certificate; without `issuer` it is self-signed."""
    key = key or ec_key()
    subject = lab_name(common_name) if name is None else name
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(next(_serials))
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if dns:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(entry) for entry in dns]), critical=False)
    return Issued(builder.sign(issuer.key if issuer else key, hashes.SHA256()), key)


@functools.cache
def root() -> Issued:
    return issue("Lab Root CA", authority=True)


@functools.cache
def issuing() -> Issued:
    return issue("Lab Issuing CA", root(), authority=True)


@functools.cache
def mail_leaf() -> Issued:
    """mail.example.com with an RSA key, signed by the issuing authority."""
    return issue("mail.example.com", issuing(), dns=["mail.example.com", "www.example.com"], key=rsa_key())


def signed_request(pem: str, issuer: Issued, days: int = 365, start: datetime = START) -> str:
    """What an authority returns for a signing request."""
    request = x509.load_pem_x509_csr(pem.encode())
    assert request.is_signature_valid
    builder = (
        x509.CertificateBuilder()
        .subject_name(request.subject)
        .issuer_name(issuer.certificate.subject)
        .public_key(request.public_key())
        .serial_number(next(_serials))
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
    )
    for extension in request.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    return certificate_pem(builder.sign(issuer.key, hashes.SHA256()))


def openssl(*arguments: str | Path, text: str | bytes = b"", fails: bool = False) -> str:
    """Output of the openssl command."""
    data = text.encode() if isinstance(text, str) else text
    done = subprocess.run(["openssl", *map(str, arguments)], input=data, capture_output=True, check=False)
    assert (done.returncode != 0) == fails, done.stderr.decode()
    return (done.stdout + done.stderr).decode()


def pkcs12_by_openssl(folder: Path, issued: Issued, passphrase: str, *options: str, chain: Sequence[Issued] = ()) -> bytes:
    """A PKCS#12 file as the openssl command makes it."""
    (folder / "in.pem").write_text(issued.key_pem + issued.pem + "".join(link.pem for link in chain))
    openssl("pkcs12", "-export", "-in", folder / "in.pem", "-out", folder / "out.p12", "-passout", f"pass:{passphrase}", *options)
    return (folder / "out.p12").read_bytes()
