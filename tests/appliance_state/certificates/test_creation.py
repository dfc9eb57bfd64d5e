from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID

from appliance_state.certificates.creation import (
    Subject,
    alternative_names,
    create_certificate,
    create_request,
    random_serial,
    request_for,
)
from appliance_state.certificates.facts import facts_of
from appliance_state.certificates.keys import belongs, generate_rsa_key
from appliance_state.certificates.pem import certificate_pem, request_pem
from tests.support.lab_ca import mail_leaf, openssl, rsa_key

NOW = datetime(2026, 11, 24, 2, 25, 12, 654321, tzinfo=UTC)
SUBJECT = Subject(
    common_name="mail.example.com", organization="Example, KK", organizational_unit="Mail", locality="京都市", state="Kyoto", country="JP"
)


def make(days: int = 365, names: tuple[str, ...] = ("mail.example.com",)) -> x509.Certificate:
    return create_certificate(SUBJECT, rsa_key(), now=NOW, days=days, serial=0x0A1B2C, dns_names=names)


def test_subject_and_issuer_are_equal_and_in_order() -> None:
    facts = facts_of(make())
    assert facts.subject == facts.issuer == "C=JP,ST=Kyoto,L=京都市,O=Example, KK,OU=Mail,CN=mail.example.com"
    assert facts.serial == "0A:1B:2C"


@pytest.mark.parametrize("days", [1, 10, 365, 9999])
def test_validity_is_exact(days: int) -> None:
    certificate = make(days)
    assert certificate.not_valid_before_utc == NOW.replace(microsecond=0)
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc == timedelta(seconds=days * 86400)


def test_extensions() -> None:
    extensions = make().extensions
    constraints = extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical and constraints.value == x509.BasicConstraints(ca=True, path_length=0)
    usage = extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    names = (
        "digital_signature",
        "key_encipherment",
        "key_cert_sign",
        "content_commitment",
        "data_encipherment",
        "key_agreement",
        "crl_sign",
    )
    assert [getattr(usage.value, name) for name in names] == [True, True, True, False, False, False, False]
    extended = extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    assert list(extended.value) == [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    own = extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    assert extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier == own.digest
    alternative = extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert not alternative.critical and alternative.value.get_values_for_type(x509.DNSName) == ["mail.example.com"]


def test_without_names_there_is_no_alternative_name() -> None:
    with pytest.raises(x509.ExtensionNotFound):
        make(names=()).extensions.get_extension_for_class(x509.SubjectAlternativeName)


def test_signature_and_version() -> None:
    certificate = make()
    assert certificate.version is x509.Version.v3
    assert isinstance(certificate.signature_hash_algorithm, hashes.SHA256)


def test_openssl_verifies_the_certificate(tmp_path: Path) -> None:
    (tmp_path / "own.pem").write_text(certificate_pem(make()))
    assert "OK" in openssl("verify", "-attime", "1795500000", "-CAfile", tmp_path / "own.pem", tmp_path / "own.pem")


def test_openssl_verifies_the_request() -> None:
    request = request_pem(create_request(SUBJECT.name(), rsa_key(), ["mail.example.com", "www.example.com"]))
    assert "verify OK" in openssl("req", "-verify", "-noout", text=request)
    shown = openssl("req", "-text", "-noout", "-nameopt", "utf8,sep_comma_plus", text=request)
    assert "DNS:mail.example.com, DNS:www.example.com" in shown
    assert "C=JP,ST=Kyoto,L=京都市,O=Example, KK,OU=Mail,CN=mail.example.com" in shown
    assert "sha256WithRSAEncryption" in shown


def test_request_for_an_existing_certificate() -> None:
    leaf = mail_leaf()
    request = request_for(leaf.certificate, leaf.key)  # type: ignore[arg-type]
    assert request.subject == leaf.certificate.subject
    names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["mail.example.com", "www.example.com"]
    assert belongs(leaf.key, leaf.certificate)


def test_a_common_name_has_64_characters_of_any_length_in_octets() -> None:
    subject = Subject(common_name="京" * 64, organization="O", organizational_unit="U", locality="L", state="S", country="JP")
    certificate = create_certificate(subject, rsa_key(), now=NOW, days=1, serial=1, dns_names=())
    assert facts_of(certificate).common_name == "京" * 64


@pytest.mark.parametrize("bits", [1024, 2048])
def test_key_sizes(bits: int) -> None:
    assert generate_rsa_key(bits).key_size == bits


def test_serial_numbers_are_positive() -> None:
    assert random_serial(lambda count: b"\xff" * count) == 2**128 - 1
    assert random_serial(lambda count: b"\0" * count) == 1


@pytest.mark.parametrize(
    ("common_name", "more", "names"),
    [
        ("mail.example.com", [], ["mail.example.com"]),
        ("*.example.com", [], ["*.example.com"]),
        ("mailhost", [], []),
        ("京都", ["www.example.com"], ["www.example.com"]),
        ("mail.example.com", ["MAIL.example.com", "www.example.com", "www.example.com"], ["mail.example.com", "www.example.com"]),
    ],
)
def test_alternative_names(common_name: str, more: list[str], names: list[str]) -> None:
    assert list(alternative_names(common_name, more)) == names
