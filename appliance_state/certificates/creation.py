"""Self-signed certificates and signing requests (certconfig.md 3.3)."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from appliance_state.certificates.keys import PrivateKey
from appliance_state.certificates.names import names_of
from appliance_state.names import is_fqdn

MAX_DAYS, DEFAULT_DAYS = 9999, 3650
KEY_SIZES, DEFAULT_KEY_SIZE = (1024, 2048), 2048
_SERIAL_OCTETS = 16


@frozen(kw_only=True)
class Subject:
    """Who the certificate is about. `country`: two letters in upper case."""

    common_name: str
    organization: str
    organizational_unit: str
    locality: str
    state: str
    country: str

    def name(self) -> x509.Name:
        """In the order C, ST, L, O, OU, CN; text is UTF-8."""
        values = (
            (NameOID.COUNTRY_NAME, self.country),
            (NameOID.STATE_OR_PROVINCE_NAME, self.state),
            (NameOID.LOCALITY_NAME, self.locality),
            (NameOID.ORGANIZATION_NAME, self.organization),
            (NameOID.ORGANIZATIONAL_UNIT_NAME, self.organizational_unit),
            (NameOID.COMMON_NAME, self.common_name),
        )
        with warnings.catch_warnings():
            # The limit of 64 is one of characters (RFC 5280 appendix A, ub-common-name), not of octets.
            warnings.simplefilter("ignore")
            return x509.Name([x509.NameAttribute(kind, value, _validate=False) for kind, value in values])


def random_serial(random: Callable[[int], bytes]) -> int:
    """A positive serial number of 128 bits."""
    return int.from_bytes(random(_SERIAL_OCTETS), "big") or 1


def alternative_names(common_name: str, more: Sequence[str] = ()) -> tuple[str, ...]:
    """DNS names of a new certificate: the common name, if it keeps the rules of one, then `more`; no doubles."""
    names: dict[str, str] = {}
    for name in (common_name, *more) if is_fqdn(common_name) else more:
        names.setdefault(name.casefold(), name)
    return tuple(names.values())


def create_certificate(
    subject: Subject, key: rsa.RSAPrivateKey, *, now: datetime, days: int, serial: int, dns_names: Sequence[str]
) -> x509.Certificate:
    """Signed by its own key, valid from `now` for `days` times 86400 seconds; may also stand in a list of authorities."""
    name = subject.name()
    start = now.astimezone(UTC).replace(microsecond=0)
    public = key.public_key()
    identifier = x509.SubjectKeyIdentifier.from_public_key(public)
    others = ("content_commitment", "data_encipherment", "key_agreement", "crl_sign", "encipher_only", "decipher_only")
    usage = x509.KeyUsage(digital_signature=True, key_encipherment=True, key_cert_sign=True, **dict.fromkeys(others, False))
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(serial)
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(identifier, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
    )
    if dns_names:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in dns_names]), critical=False)
    return builder.sign(key, hashes.SHA256())


def create_request(name: x509.Name, key: PrivateKey, dns_names: Sequence[str]) -> x509.CertificateSigningRequest:
    """PKCS#10 with the DNS names as requested extension."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    if dns_names:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in dns_names]), critical=False)
    return builder.sign(key, hashes.SHA256())


def request_for(certificate: x509.Certificate, key: PrivateKey) -> x509.CertificateSigningRequest:
    """A request with subject and DNS names of an existing certificate. Errors: ValueError when they cannot be read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return create_request(certificate.subject, key, names_of(certificate).dns_names)
