from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from appliance_state.certificates.facts import CertificateFacts, facts_of, read_facts, serial_text
from appliance_state.certificates.names import names_of
from appliance_state.certificates.pem import NotReadable, load_der
from appliance_state.certificates.profile_names import name_after
from tests.support.lab_ca import END, START, ec_key, issue, issuing, mail_leaf, openssl, root, rsa_key


def test_a_leaf() -> None:
    facts = facts_of(mail_leaf().certificate)
    assert facts.common_name == "mail.example.com"
    assert facts.subject == "C=JP,O=Lab,CN=mail.example.com"
    assert facts.dns_names == ("mail.example.com", "www.example.com")
    assert facts.issued_by == "Lab Issuing CA"
    assert facts.issuer == "C=JP,O=Lab,CN=Lab Issuing CA"
    assert (facts.key, facts.key_type, facts.key_bits) == ("RSA 2048 bits", "rsa", 2048)
    assert facts.not_before == START and facts.not_after == END


def test_serial_and_fingerprint_are_those_of_openssl() -> None:
    leaf = mail_leaf()
    facts = facts_of(leaf.certificate)
    shown = openssl("x509", "-noout", "-serial", "-fingerprint", "-sha256", text=leaf.pem)
    assert f"serial={facts.serial.replace(':', '')}" in shown
    assert f"={facts.sha256}" in shown


@pytest.mark.parametrize(
    ("number", "text"), [(0x0A1B2C, "0A:1B:2C"), (0, "00"), (0x80, "80"), (-5, "-05"), (2**159 - 1, "7F" + ":FF" * 19)]
)
def test_serial_text(number: int, text: str) -> None:
    assert serial_text(number) == text


def test_elliptic_curve() -> None:
    assert facts_of(root().certificate).key == "EC P-256"


def test_without_common_name_the_first_dns_name_else_the_subject() -> None:
    assert facts_of(issue(None, issuing(), dns=["www.example.com"]).certificate).common_name == "www.example.com"
    assert facts_of(issue(None, issuing()).certificate).common_name == "C=JP,O=Lab"
    nameless = facts_of(issue(None, name=x509.Name([])).certificate)
    assert nameless.common_name == nameless.subject == nameless.issuer == nameless.issued_by == "(no subject)"


def test_issuer_without_common_name_is_called_by_its_organization() -> None:
    assert facts_of(issue("x.test", issue(None, authority=True)).certificate).issued_by == "Lab"


def test_the_last_common_name_counts() -> None:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "general"), x509.NameAttribute(NameOID.COMMON_NAME, "special.test")])
    assert facts_of(issue(None, name=name).certificate).common_name == "special.test"


def test_attribute_types() -> None:
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.DOMAIN_COMPONENT, "test"),
            x509.NameAttribute(NameOID.SERIAL_NUMBER, "42"),
            x509.NameAttribute(NameOID.EMAIL_ADDRESS, "a@b.test"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Neuronio, Lda."),
            x509.NameAttribute(NameOID.SURNAME, "da Silva"),
        ]
    )
    assert facts_of(issue(None, name=name).certificate).subject == (
        "DC=test,serialNumber=42,emailAddress=a@b.test,O=Neuronio, Lda.,2.5.4.4=da Silva"
    )


def test_control_characters_never_reach_the_screen() -> None:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a\x00b\x1b[2Jc\r\nd\x9be")])
    facts = facts_of(issue(None, name=name).certificate)
    assert facts.common_name == r"a\x00b\x1b[2Jc\x0d\x0ad\x9be"


def test_nothing_turns_text_round_or_looks_like_a_prompt() -> None:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail\u202etset\u200b\ufeff> ")])
    facts = facts_of(issue(None, name=name).certificate)
    assert facts.common_name == r"mail\u202etset\u200b\ufeff>\x20" and facts.subject.endswith(r">\x20")


def test_text_that_is_no_utf8_is_shown_as_octets() -> None:
    der = issue("abcdefgh.test").certificate.public_bytes(Encoding.DER).replace(b"abcdefgh.test", b"abc\xff\xfe\xe9gh.test")
    assert facts_of(load_der(der)).subject == r"C=JP,O=Lab,CN=abc\xff\xfe\xe9gh.test"


def test_serial_numbers_that_are_not_positive_can_be_read() -> None:
    certificate = issue("old.test").certificate
    content = certificate.serial_number.to_bytes(3, "big")
    der = certificate.public_bytes(Encoding.DER)
    negative = load_der(der.replace(b"\x02\x03" + content, b"\x02\x03\xff" + content[1:], 1))
    assert facts_of(negative).serial.startswith("-")


def test_a_damaged_extension_has_no_names_and_no_flag() -> None:
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([]))
        .public_key(rsa_key().public_key())
        .serial_number(1)
        .not_valid_before(START)
        .not_valid_after(END)
        .add_extension(x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.17"), b"\x30\x82\xff\xff\x82"), critical=False)
        .add_extension(x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.19"), b"\x05"), critical=False)
    )
    names = names_of(builder.sign(rsa_key(), hashes.SHA256()))
    assert names.dns_names == () and not names.authority


@pytest.mark.parametrize(
    ("offset", "status", "days"),
    [
        (timedelta(seconds=-1), "Future", 1461),
        (timedelta(), "Active", 1461),
        (END - START - timedelta(hours=1), "Active", 0),
        (END - START - timedelta(hours=25), "Active", 1),
        (END - START, "Active", 0),
        (END - START + timedelta(seconds=1), "Expired", 0),
    ],
)
def test_status(offset: timedelta, status: str, days: int) -> None:
    facts = facts_of(mail_leaf().certificate)
    assert (facts.status(START + offset), facts.days_remaining(START + offset)) == (status, days)


@pytest.mark.parametrize("pem", ["", "x", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"])
def test_what_cannot_be_read_has_no_facts(pem: str) -> None:
    assert read_facts(pem) == CertificateFacts()
    assert read_facts(pem).status(datetime(2026, 1, 1, tzinfo=UTC)) == "Expired"


def test_every_damaged_octet_is_survived() -> None:
    der = bytearray(issue("mail.example.com", root(), dns=["mail.example.com"], key=ec_key()).certificate.public_bytes(Encoding.DER))
    readable = 0
    for position in range(len(der)):
        damaged = bytes(der[:position]) + bytes([der[position] ^ 0x5A]) + bytes(der[position + 1 :])
        try:
            certificate = load_der(damaged)
        except NotReadable:
            continue
        readable += 1
        facts_of(certificate)
        name_after(certificate)
    assert readable > 50
