"""Revocation lists: which count for a chain, which files are none, when the next is fetched (certconfig.md 6)."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance_state.certificates.crl import CrlProblem, RevocationLists, next_download, read_crl
from asyncos_shell.lab.authority import Authority, Identity, rsa_root, self_signed

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
ROOT = Authority.root("Lab Root CA", NOW)
ISSUING = ROOT.intermediate("Lab Issuing CA", NOW)
STRANGER = Authority.root("Lab Issuing CA", NOW)
"""another CA of the same name"""
PEER = ISSUING.issue(NOW, common_name="mx1.d.test", dns_names=["d.test"])
CHAIN = (PEER.certificate, ISSUING.certificate, ROOT.certificate)


def der(crl: x509.CertificateRevocationList) -> bytes:
    return crl.public_bytes(Encoding.DER)


def lists(*crls: x509.CertificateRevocationList) -> RevocationLists:
    return RevocationLists(read_crl(der(crl), pem=False) for crl in crls)


def extended(extension: x509.ExtensionType, *, critical: bool = True) -> bytes:
    builder = x509.CertificateRevocationListBuilder().issuer_name(ROOT.certificate.subject).last_update(NOW)
    builder = builder.next_update(NOW + timedelta(days=1)).add_extension(extension, critical=critical)
    return der(builder.sign(ROOT.key, hashes.SHA256()))


@pytest.mark.parametrize(
    ("crls", "chain", "revoked"),
    [
        ((), CHAIN, None),
        ((ISSUING.revocation_list(NOW),), CHAIN, None),
        ((ISSUING.revocation_list(NOW, PEER.certificate),), CHAIN, "mx1.d.test"),
        ((ROOT.revocation_list(NOW, ISSUING.certificate),), CHAIN, "Lab Issuing CA"),
        ((ROOT.revocation_list(NOW, ROOT.certificate),), CHAIN, "Lab Root CA"),
        ((ROOT.revocation_list(NOW, PEER.certificate),), CHAIN, None),
        ((STRANGER.revocation_list(NOW, PEER.certificate),), CHAIN, None),
        ((STRANGER.revocation_list(NOW, PEER.certificate), ISSUING.revocation_list(NOW, PEER.certificate)), CHAIN, "mx1.d.test"),
        ((ISSUING.revocation_list(NOW - timedelta(days=8), PEER.certificate),), CHAIN, None),
        ((ISSUING.revocation_list(NOW, PEER.certificate),), CHAIN[:1], None),
    ],
)
def test_what_counts(crls: tuple[x509.CertificateRevocationList, ...], chain: tuple[x509.Certificate, ...], revoked: str | None) -> None:
    assert lists(*crls).problem(chain, NOW) == (revoked and f"certificate revoked (CN={revoked})")


def test_a_list_of_which_the_time_has_passed_counts_no_more() -> None:
    found = lists(ISSUING.revocation_list(NOW, PEER.certificate, days=1))
    assert found.revoked(CHAIN, NOW + timedelta(days=1)) == PEER.certificate
    assert found.revoked(CHAIN, NOW + timedelta(days=1, seconds=1)) is None


def test_an_anchor_that_is_not_in_the_chain_may_have_signed() -> None:
    found = lists(ISSUING.revocation_list(NOW, PEER.certificate))
    assert found.revoked(CHAIN[:1], NOW, [b"no certificate", STRANGER.der]) is None
    assert found.revoked(CHAIN[:1], NOW, [b"no certificate", STRANGER.der, ISSUING.der]) == PEER.certificate


@pytest.mark.parametrize(("allowed", "revoked"), [(True, True), (False, False)])
def test_the_key_usage_of_the_issuer_must_allow_lists(allowed: bool, revoked: bool) -> None:
    """RFC 5280 6.3.3 (f)."""
    others = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only")
    usage = x509.KeyUsage(digital_signature=False, key_cert_sign=True, crl_sign=allowed, **dict.fromkeys(others, False))
    builder = x509.CertificateBuilder().subject_name(ROOT.certificate.subject).issuer_name(ROOT.certificate.subject)
    builder = builder.public_key(ROOT.key.public_key()).serial_number(1).not_valid_before(NOW).not_valid_after(NOW + timedelta(days=9))
    root = builder.add_extension(usage, critical=True).sign(ROOT.key, hashes.SHA256())
    peer = ROOT.issue(NOW, common_name="mx1.d.test").certificate
    found = lists(ROOT.revocation_list(NOW, peer))
    assert (found.revoked((peer, root), NOW) is not None) == revoked


DELTA = extended(x509.DeltaCRLIndicator(1))
POINT = {
    "full_name": None,
    "relative_name": None,
    "only_contains_user_certs": False,
    "only_contains_ca_certs": False,
    "only_some_reasons": None,
    "indirect_crl": False,
    "only_contains_attribute_certs": False,
}


def point(**fields: object) -> bytes:
    return extended(x509.IssuingDistributionPoint(**{**POINT, **fields}))  # type: ignore[arg-type]


PEM = ROOT.revocation_list(NOW).public_bytes(Encoding.PEM)
NOT_SUPPORTED = "the CRL has a critical extension that is not supported"
NONE, SEVERAL = "the file does not contain a CRL", "the file contains more than one CRL"


@pytest.mark.parametrize(
    ("data", "pem", "reason"),
    [
        (b"", False, NONE),
        (b"\x30\x80", False, NONE),
        (ROOT.der, False, NONE),
        (PEM, False, NONE),
        (der(ROOT.revocation_list(NOW)), True, NONE),
        (ROOT.pem.encode(), True, NONE),
        (b"-----BEGIN X509 CRL-----\n!\n-----END X509 CRL-----\n", True, NONE),
        (PEM + PEM, True, SEVERAL),
        (DELTA, False, NOT_SUPPORTED),
        (point(indirect_crl=True), False, NOT_SUPPORTED),
        (point(only_contains_attribute_certs=True), False, NOT_SUPPORTED),
    ],
)
def test_files_that_are_no_list(data: bytes, pem: bool, reason: str) -> None:
    with pytest.raises(CrlProblem) as caught:
        read_crl(data, pem=pem)
    assert str(caught.value) == reason


def test_lists_that_are_understood() -> None:
    assert read_crl(b"as it came\n" + PEM + b"more", pem=True).issuer == "CN=Lab Root CA"
    assert read_crl(point(only_contains_user_certs=True), pem=False).serials == frozenset()
    assert read_crl(point(only_some_reasons=frozenset({x509.ReasonFlags.key_compromise})), pem=False).issuer == "CN=Lab Root CA"
    assert read_crl(extended(x509.CRLNumber(5), critical=False), pem=False).this_update == NOW


@settings(deadline=None, max_examples=80)
@given(st.integers(min_value=0), st.integers(0, 255))
def test_damaged_files(position: int, octet: int) -> None:
    data = bytearray(der(ROOT.revocation_list(NOW, PEER.certificate)))
    data[position % len(data)] = octet
    try:
        found = RevocationLists([read_crl(bytes(data), pem=False)])
    except CrlProblem:
        return
    found.problem(CHAIN, NOW)


@pytest.mark.parametrize("form", ["DER", "PEM"])
def test_lists_made_by_openssl(tmp_path: Path, form: str) -> None:
    """A small CA of the openssl command, which revokes one certificate of two."""

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=tmp_path, check=True, capture_output=True, timeout=60)

    (tmp_path / "ca.cnf").write_text(
        "[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\nserial=serial\nnew_certs_dir=.\ncertificate=ca.pem\nprivate_key=ca.key\n"
        "default_md=sha256\ndefault_days=30\ndefault_crl_days=7\npolicy=p\nunique_subject=no\n[p]\ncommonName=supplied\n"
    )
    (tmp_path / "index.txt").write_text("")
    (tmp_path / "serial").write_text("10\n")
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=Tool CA", "-keyout", "ca.key", "-out", "ca.pem")
    for name in ("good", "bad"):
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}.test", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        openssl("ca", "-config", "ca.cnf", "-batch", "-in", f"{name}.csr", "-out", f"{name}.pem")
    openssl("ca", "-config", "ca.cnf", "-revoke", "bad.pem")
    openssl("ca", "-config", "ca.cnf", "-gencrl", "-out", "crl.pem")
    openssl("crl", "-in", "crl.pem", "-outform", form, "-out", "crl")
    found = RevocationLists([read_crl((tmp_path / "crl").read_bytes(), pem=form == "PEM")])
    good, bad, ca = (x509.load_pem_x509_certificate((tmp_path / f"{name}.pem").read_bytes()) for name in ("good", "bad", "ca"))
    now = datetime.now(UTC)
    assert found.problem((good, ca), now) is None
    assert found.problem((bad, ca), now) == "certificate revoked (CN=bad.test)"


def test_keys_of_every_kind_sign_lists() -> None:
    authority = rsa_root("Lab RSA Root CA", NOW)
    peer: Identity = authority.issue(NOW, common_name="rsa.test")
    assert lists(authority.revocation_list(NOW, peer.certificate)).revoked((peer.certificate, authority.certificate), NOW)
    own = self_signed(NOW, common_name="own.test").certificate
    assert lists(authority.revocation_list(NOW, own)).revoked((own,), NOW) is None


TOKYO, BERLIN = "Asia/Tokyo", "Europe/Berlin"


@pytest.mark.parametrize(
    ("schedule", "now", "zone", "due"),
    [
        (("daily", "03:00"), "2026-11-24T02:59", "GMT", "2026-11-24T03:00"),
        (("daily", "03:00"), "2026-11-24T03:00", "GMT", "2026-11-25T03:00"),
        (("daily", "03:00"), "2026-11-24T09:00", TOKYO, "2026-11-24T18:00"),
        (("weekly", "03:00"), "2026-11-24T09:00", "GMT", "2026-11-29T03:00"),
        (("weekly", "23:59"), "2026-11-29T23:58", "GMT", "2026-11-29T23:59"),
        (("monthly", "00:00"), "2026-11-24T09:00", "GMT", "2026-12-01T00:00"),
        (("monthly", "00:00"), "2026-12-31T15:00", TOKYO, "2027-01-31T15:00"),
        (("daily", "02:30"), "2026-03-28T12:00", BERLIN, "2026-03-29T01:30"),
        (("daily", "02:30"), "2026-10-25T00:00", BERLIN, "2026-10-25T00:30"),
    ],
)
def test_when_a_list_is_fetched_next(schedule: tuple[str, str], now: str, zone: str, due: str) -> None:
    def moment(text: str) -> datetime:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)

    assert next_download(schedule, moment(now), zone) == moment(due)
