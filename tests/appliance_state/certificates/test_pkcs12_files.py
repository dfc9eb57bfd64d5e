from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, NoEncryption, PrivateFormat, pkcs12
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance_state.certificates.derivation import MAX_ITERATIONS, TooMuchWork, check_work, iterations
from appliance_state.certificates.pkcs12 import MAX_SIZE, KeyPair, read_pkcs12, write_pkcs12
from appliance_state.certificates.problem import (
    KEY_KIND,
    NO_CERTIFICATE,
    NO_KEY,
    NOT_PKCS12,
    PKCS12_MISMATCH,
    CertificateProblem,
)
from tests.support.lab_ca import issue, issuing, mail_leaf, openssl, pkcs12_by_openssl, root, rsa_key

LEAF, ISSUING, ROOT = mail_leaf(), issuing(), root()
PAIR = KeyPair(certificate=LEAF.certificate, key=rsa_key(), intermediates=(ISSUING.certificate,))
STRANGER = issue("stranger.example.com")
CHAIN = (STRANGER, ROOT, ISSUING)
"""in no good order, with a root and an unrelated certificate"""


def problem(data: bytes, passphrase: str = "secret") -> str:
    with pytest.raises(CertificateProblem) as caught:
        read_pkcs12(data, passphrase)
    return str(caught.value)


@pytest.mark.parametrize("options", [(), ("-legacy",), ("-keypbe", "NONE", "-certpbe", "NONE"), ("-nomac",), ("-iter", "600000")])
def test_files_made_by_openssl(tmp_path: Path, options: tuple[str, ...]) -> None:
    data = pkcs12_by_openssl(tmp_path, LEAF, "secret", *options, chain=CHAIN)
    pair = read_pkcs12(data, "secret")
    assert pair.certificate == LEAF.certificate
    assert pair.key.private_numbers() == rsa_key().private_numbers()
    assert pair.intermediates == (ISSUING.certificate,)
    if "NONE" not in options:
        assert problem(data, "wrong") == problem(data, "") == problem(data, "sec\0ret") == problem(data, "\udcff") == NOT_PKCS12


@pytest.mark.parametrize("options", [(), ("-legacy",)])
def test_empty_and_foreign_passphrases(tmp_path: Path, options: tuple[str, ...]) -> None:
    assert read_pkcs12(pkcs12_by_openssl(tmp_path, LEAF, "", *options), "").certificate == LEAF.certificate
    assert read_pkcs12(pkcs12_by_openssl(tmp_path, LEAF, "pässwörd", *options), "pässwörd").certificate == LEAF.certificate


def test_leaf_without_key(tmp_path: Path) -> None:
    (tmp_path / "leaf.pem").write_text(LEAF.pem)
    openssl("pkcs12", "-export", "-nokeys", "-in", tmp_path / "leaf.pem", "-out", tmp_path / "f", "-passout", "pass:secret")
    assert problem((tmp_path / "f").read_bytes()) == NO_KEY


def test_key_without_certificate(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text(LEAF.key_pem)
    openssl("pkcs12", "-export", "-nocerts", "-inkey", tmp_path / "key.pem", "-out", tmp_path / "f", "-passout", "pass:secret")
    assert problem((tmp_path / "f").read_bytes()) == NO_CERTIFICATE


def test_key_of_another_certificate() -> None:
    data = pkcs12.serialize_key_and_certificates(b"x", rsa_key(1), None, [LEAF.certificate], BestAvailableEncryption(b"secret"))
    assert problem(data) == PKCS12_MISMATCH == "Cannot import certificate: key does not sign certificate"


def test_kind_of_key(tmp_path: Path) -> None:
    key = tmp_path / "k.pem"
    openssl("req", "-x509", "-newkey", "ed25519", "-nodes", "-subj", "/CN=ed.test", "-keyout", key, "-out", tmp_path / "c.pem")
    openssl("pkcs12", "-export", "-inkey", key, "-in", tmp_path / "c.pem", "-out", tmp_path / "f", "-passout", "pass:secret")
    assert problem((tmp_path / "f").read_bytes()) == KEY_KIND


@pytest.mark.parametrize("data", [b"", b"\0" * 100, b"\x30\x80", b"\x30\x84\xff\xff\xff\xff", LEAF.pem.encode(), b"\x30" * 5000])
def test_what_is_no_pkcs12(data: bytes) -> None:
    assert problem(data) == NOT_PKCS12


def test_size_is_bounded() -> None:
    assert problem(b"\x30" * (MAX_SIZE + 1)) == NOT_PKCS12


@settings(deadline=None, max_examples=60)
@given(st.integers(min_value=0), st.integers(0, 255))
def test_damaged_files(position: int, octet: int) -> None:
    data = bytearray(pkcs12.serialize_key_and_certificates(b"x", LEAF.key, LEAF.certificate, None, NoEncryption()))  # type: ignore[arg-type]
    data[position % len(data)] = octet
    with contextlib.suppress(CertificateProblem):
        read_pkcs12(bytes(data), "")


@pytest.mark.parametrize("legacy", [False, True])
def test_openssl_reads_what_is_written(tmp_path: Path, legacy: bool) -> None:
    file = tmp_path / "mail.p12"
    file.write_bytes(write_pkcs12(PAIR, "mail", "sécret", legacy=legacy))
    shown = openssl("pkcs12", "-info", "-nodes", "-in", file, "-passin", "pass:sécret", *(["-legacy"] if legacy else []))
    assert "friendlyName: mail" in shown
    assert shown.count("BEGIN CERTIFICATE-----") == 2 and "BEGIN PRIVATE KEY" in shown
    assert "BEGIN CERTIFICATE REQUEST" not in shown
    algorithms = ("pbeWithSHA1And3-KeyTripleDES-CBC", "MAC: sha1") if legacy else ("PBES2, PBKDF2, AES-256-CBC", "MAC: sha256")
    assert all(word in shown for word in algorithms)
    openssl("pkcs12", "-info", "-nodes", "-in", file, "-passin", "pass:wrong", *(["-legacy"] if legacy else []), fails=True)


@pytest.mark.parametrize("legacy", [False, True])
def test_written_and_read_again(legacy: bool) -> None:
    pair = read_pkcs12(write_pkcs12(PAIR, "mail", "secret", legacy=legacy), "secret")
    assert (pair.certificate, pair.intermediates) == (PAIR.certificate, PAIR.intermediates)


def test_any_passphrase_that_can_be_typed() -> None:
    for passphrase in ("x" * 128, "京都" * 20, " lead and trail "):
        data = write_pkcs12(PAIR, "mail", passphrase)
        assert read_pkcs12(data, passphrase).certificate == LEAF.certificate


def encrypted(rounds: int) -> bytes:
    encryption = (
        PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(rounds)
        .key_cert_algorithm(pkcs12.PBES.PBESv2SHA256AndAES256CBC)
        .hmac_hash(hashes.SHA256())
        .build(b"secret")
    )
    return pkcs12.serialize_key_and_certificates(b"x", LEAF.key, LEAF.certificate, None, encryption)  # type: ignore[arg-type]


def test_all_iterations_are_counted() -> None:
    assert iterations(encrypted(1000)) == 1000 + 1000 + 2048  # key, certificate, MAC


def test_iterations_of_the_legacy_form(tmp_path: Path) -> None:
    assert iterations(pkcs12_by_openssl(tmp_path, LEAF, "secret", "-legacy", "-iter", "5000")) == 3 * 5000


def test_absurd_work_is_refused_before_it_is_done() -> None:
    data = encrypted(0x1234)
    huge = data.replace(bytes.fromhex("02021234"), bytes.fromhex("02027fff"))
    assert iterations(huge) > iterations(data)
    in_four_octets = bytes.fromhex("30 0a 04 02 aaaa 02 04 7fffffff")
    with pytest.raises(TooMuchWork):
        check_work(in_four_octets)


@pytest.mark.parametrize(
    ("encoding", "count"),
    [
        ("30 07 04 01 00 02 02 0800", 2048),  # salt, iterations
        ("30 0a 04 01 00 02 02 0800 02 01 20", 2048),  # with a key length
        ("30 0d 04 01 00 02 02 4000 02 01 08 02 01 01", 0x4000 * 8),  # scrypt
        ("30 80 04 01 00 02 02 0800 00 00", 2048),  # indefinite length
        ("30 0b 24 80 04 01 00 00 00 02 02 0800", 2048),  # salt in pieces
        ("04 09 30 07 04 01 00 02 02 0800", 2048),  # inside a string
        ("24 0d 04 05 30 07 04 01 00 04 04 02 02 0800", 2048),  # inside a string in pieces
        ("30 07 04 01 00 02 02 8000", 0),  # negative
        ("02 02 0800", 0),
        ("ff", 0),
    ],
)
def test_where_iterations_stand(encoding: str, count: int) -> None:
    assert iterations(bytes.fromhex(encoding)) == count


@pytest.mark.parametrize(
    "data",
    [
        bytes.fromhex("30 16 04 01 00 02 11") + b"\x01" * 17,
        b"\x05\x00" * 300_000,
        bytes.fromhex("30 80") * 60 + bytes.fromhex("30 07 04 01 00 02 02 0800") + b"\0\0" * 60 + b"\x05\0" * 200_000,
    ],
)
def test_structures_without_end(data: bytes) -> None:
    with pytest.raises(TooMuchWork):
        iterations(data)


def test_bound() -> None:
    check_work(bytes.fromhex("30 08 04 01 00 02 03 ") + MAX_ITERATIONS.to_bytes(3, "big"))


@given(st.binary(max_size=300))
def test_any_octets_can_be_counted(data: bytes) -> None:
    assert iterations(data) >= 0
