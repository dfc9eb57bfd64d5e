"""Lab CA: certificate authorities that make good and broken certificates (labs-and-ci.md 9).

Keys of peers are P-256 unless a kind needs RSA; making them costs a fraction of a millisecond. Times are given by the
caller, so that a certificate fits the appliance clock. Everything made here is for laboratories only.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import datetime, timedelta

from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

SigningKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
SERVER_AUTH = (ExtendedKeyUsageOID.SERVER_AUTH,)
_SHA256_RSA = bytes.fromhex("2a864886f70d01010b")
_SHA1_RSA = bytes.fromhex("2a864886f70d010105")


@frozen(kw_only=True)
class Identity:
    """A server certificate with its key and the certificates that a peer sends behind it."""

    certificate: x509.Certificate
    key: SigningKey
    chain: tuple[x509.Certificate, ...] = ()

    @property
    def der(self) -> list[bytes]:
        """What a peer sends, DER."""
        return [c.public_bytes(serialization.Encoding.DER) for c in (self.certificate, *self.chain)]

    @property
    def pem(self) -> bytes:
        """Certificates and key for a TLS context."""
        key = self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        certificates = (c.public_bytes(serialization.Encoding.PEM) for c in (self.certificate, *self.chain))
        return b"".join(certificates) + key


class Authority:
    """A CA. `chain`: its own certificate and its issuers' up to, but without, the root."""

    def __init__(self, certificate: x509.Certificate, key: SigningKey, chain: tuple[x509.Certificate, ...]) -> None:
        self.certificate = certificate
        self.key = key
        self.chain = chain

    @classmethod
    def root(cls, common_name: str, now: datetime, *, days: int = 3650) -> Authority:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _sign(
            _builder(common_name, _name(common_name), key.public_key(), now - timedelta(days=1), days).add_extension(
                x509.BasicConstraints(ca=True, path_length=None), critical=True
            ),
            key,
        )
        return cls(certificate, key, ())

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")

    def intermediate(self, common_name: str, now: datetime, *, ca: bool = True, days: int = 1825) -> Authority:
        """A CA below this one; with `ca` False a certificate that must not issue, and does."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(common_name, self.certificate.subject, key.public_key(), now - timedelta(days=1), days)
        certificate = _sign(builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True), self.key)
        return Authority(certificate, key, (certificate, *self.chain))

    def with_broken_signature(self) -> Authority:
        """This CA with a certificate that its issuer has not signed so."""
        return Authority(broken(self.certificate), self.key, (broken(self.certificate), *self.chain[1:]))

    def issue(
        self,
        now: datetime,
        *,
        common_name: str | None = None,
        dns_names: Sequence[str] = (),
        days: int = 90,
        starts: timedelta = timedelta(hours=-1),
        usages: Sequence[ObjectIdentifier] = SERVER_AUTH,
        rsa_bits: int | None = None,
        sha1: bool = False,
        send_chain: bool = True,
    ) -> Identity:
        """A server certificate, valid for `days` from `now` + `starts`. Names that are addresses become address entries."""
        key: SigningKey = (
            rsa.generate_private_key(public_exponent=65537, key_size=rsa_bits) if rsa_bits else ec.generate_private_key(ec.SECP256R1())
        )
        builder = _builder(common_name, self.certificate.subject, key.public_key(), now + starts, days)
        if dns_names:
            builder = builder.add_extension(x509.SubjectAlternativeName([_general_name(name) for name in dns_names]), critical=False)
        if usages:
            builder = builder.add_extension(x509.ExtendedKeyUsage(list(usages)), critical=False)
        certificate = _sign_sha1(builder, self.key) if sha1 else _sign(builder, self.key)
        return Identity(certificate=certificate, key=key, chain=self.chain if send_chain else ())

    def revocation_list(self, now: datetime, *revoked: x509.Certificate, days: float = 7) -> x509.CertificateRevocationList:
        """A CRL of this CA. `days`: until its next update."""
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.certificate.subject).last_update(now)
        builder = builder.next_update(now + timedelta(days=days))
        for certificate in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(certificate.serial_number).revocation_date(now)
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(self.key, hashes.SHA256())


def rsa_root(common_name: str, now: datetime) -> Authority:
    """A root that can sign with SHA-1."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    builder = _builder(common_name, _name(common_name), key.public_key(), now - timedelta(days=1), 3650)
    return Authority(_sign(builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True), key), key, ())


def self_signed(now: datetime, *, common_name: str | None = None, dns_names: Sequence[str] = ()) -> Identity:
    """A certificate that nobody vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(common_name, _name(common_name), key.public_key(), now - timedelta(hours=1), 90)
    if dns_names:
        builder = builder.add_extension(x509.SubjectAlternativeName([_general_name(name) for name in dns_names]), critical=False)
    return Identity(certificate=_sign(builder, key), key=key)


def broken(certificate: x509.Certificate) -> x509.Certificate:
    """The certificate with one bit of its signature changed."""
    der = certificate.public_bytes(serialization.Encoding.DER)
    return x509.load_der_x509_certificate(der[:-1] + bytes([der[-1] ^ 1]))


def _name(common_name: str | None) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name is not None else [])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(
    common_name: str | None, issuer: x509.Name, key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey, start: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_name(common_name))
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
    )


def _sign(builder: x509.CertificateBuilder, key: SigningKey) -> x509.Certificate:
    return builder.sign(key, hashes.SHA256())


def _sign_sha1(builder: x509.CertificateBuilder, key: SigningKey) -> x509.Certificate:
    """The library signs with SHA-1 no more: sign properly, name SHA-1 in its place, sign the result."""
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("SHA-1 needs an RSA key")
    proper = builder.sign(key, hashes.SHA256())
    old = proper.tbs_certificate_bytes
    new = old.replace(_SHA256_RSA, _SHA1_RSA)
    der = proper.public_bytes(serialization.Encoding.DER)
    signature = key.sign(new, padding.PKCS1v15(), hashes.SHA1())
    algorithm = der[der.index(old) + len(old) : -len(proper.signature)].replace(_SHA256_RSA, _SHA1_RSA)
    head = der[: der.index(old)]
    return x509.load_der_x509_certificate(head + new + algorithm + signature)
