"""What operators are shown of a certificate: one set of facts for the CLI, files and pages (certconfig.md 3, 3.4; print.md 1)."""

from __future__ import annotations

from datetime import UTC, datetime

from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from appliance_state.certificates.keys import describe_key
from appliance_state.certificates.names import COMMON_NAME, NO_SUBJECT, ORGANIZATION, name_text, names_of, shown, value_of
from appliance_state.certificates.pem import NotReadable, read_certificate

ACTIVE, EXPIRED, FUTURE = "Active", "Expired", "Future"
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


@frozen(kw_only=True)
class CertificateFacts:
    """All texts are fit for one line. `common_name`: CN, else the first DNS name, else the whole subject; `issued_by`: CN, else O,
    else the whole issuer. `serial`, `sha256`: octets in hexadecimal with colons.
    """

    common_name: str = NO_SUBJECT
    subject: str = NO_SUBJECT
    dns_names: tuple[str, ...] = ()
    other_names: tuple[str, ...] = ()
    issued_by: str = NO_SUBJECT
    issuer: str = NO_SUBJECT
    serial: str = "-"
    not_before: datetime = _NEVER
    not_after: datetime = _NEVER
    key_type: str = "unknown"
    key_bits: int | None = None
    key: str = "unknown"
    sha256: str = "-"

    @property
    def alternative_names(self) -> tuple[str, ...]:
        return self.dns_names + self.other_names

    def status(self, now: datetime) -> str:
        if now > self.not_after:
            return EXPIRED
        return FUTURE if now < self.not_before else ACTIVE

    def days_remaining(self, now: datetime) -> int:
        """Whole days until its end; 0 when it has expired."""
        return max(0, (self.not_after - now).days)

    def remaining(self, now: datetime) -> str:
        return f"{self.days_remaining(now)} days"


def facts_of(certificate: x509.Certificate) -> CertificateFacts:
    names = names_of(certificate)
    subject, issuer = name_text(names.subject), name_text(names.issuer)
    dns_names = tuple(shown(name) for name in names.dns_names)
    key_type, key_bits, key = describe_key(certificate)
    return CertificateFacts(
        common_name=shown(value_of(names.subject, COMMON_NAME)) or next(filter(None, dns_names), subject),
        subject=subject,
        dns_names=dns_names,
        other_names=tuple(shown(name) for name in names.other_names),
        issued_by=shown(value_of(names.issuer, COMMON_NAME) or value_of(names.issuer, ORGANIZATION)) or issuer,
        issuer=issuer,
        serial=serial_text(names.serial),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        key_type=key_type,
        key_bits=key_bits,
        key=key,
        sha256=certificate.fingerprint(hashes.SHA256()).hex(":").upper(),
    )


def read_facts(pem: str) -> CertificateFacts:
    """Facts of a stored certificate. One that cannot be read has none and counts as expired."""
    try:
        return facts_of(read_certificate(pem))
    except NotReadable:
        return CertificateFacts()


def serial_text(number: int) -> str:
    """`0A:1B:2C`."""
    digits = abs(number).to_bytes(max(1, (abs(number).bit_length() + 7) // 8), "big").hex(":").upper()
    return digits if number >= 0 else f"-{digits}"
