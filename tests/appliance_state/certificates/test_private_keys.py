from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from appliance_state.certificates.keys import (
    PassphraseNeeded,
    accepted,
    belongs,
    private_key_pem,
    read_private_key,
)
from appliance_state.certificates.pem import NotReadable
from appliance_state.certificates.problem import KEY_KIND, CertificateProblem
from tests.support.lab_ca import ec_key, issue, mail_leaf, openssl, root, rsa_key

RSA_PKCS8 = private_key_pem(rsa_key()).decode()


def by_openssl(tmp_path: Path, *arguments: str, text: str = RSA_PKCS8) -> str:
    (tmp_path / "key.pem").write_text(text)
    openssl(*arguments, "-in", tmp_path / "key.pem", "-out", tmp_path / "out.pem")
    return (tmp_path / "out.pem").read_text()


def test_pkcs8_and_pkcs1(tmp_path: Path) -> None:
    pkcs1 = by_openssl(tmp_path, "rsa", "-traditional")
    assert "BEGIN RSA PRIVATE KEY" in pkcs1
    for text in (RSA_PKCS8, pkcs1, f"some text\n{RSA_PKCS8}more"):
        assert private_key_pem(accepted(read_private_key(text))).decode() == RSA_PKCS8


def test_sec1_behind_its_parameters() -> None:
    text = openssl("ecparam", "-name", "prime256v1", "-genkey")
    assert text.startswith("-----BEGIN EC PARAMETERS-----")
    assert isinstance(read_private_key(text), ec.EllipticCurvePrivateKey)


@pytest.mark.parametrize(
    "arguments", [("pkcs8", "-topk8"), ("pkcs8", "-topk8", "-v1", "PBE-SHA1-3DES"), ("rsa", "-traditional", "-aes256")]
)
def test_encrypted(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    text = by_openssl(tmp_path, *arguments, "-passout", "pass:sesame")
    with pytest.raises(PassphraseNeeded):
        read_private_key(text)
    assert private_key_pem(accepted(read_private_key(text, "sesame"))).decode() == RSA_PKCS8
    for wrong in ("", "wrong", "ses\0ame", "\udcff", "x" * 5000):
        with pytest.raises(NotReadable):
            read_private_key(text, wrong)


def test_a_passphrase_for_a_key_without_one_is_not_used() -> None:
    assert belongs(read_private_key(RSA_PKCS8, "unused"), mail_leaf().certificate)


def test_absurd_iterations_are_refused_before_any_work(tmp_path: Path) -> None:
    text = by_openssl(tmp_path, "pkcs8", "-topk8", "-iter", "10000001", "-passout", "pass:sesame")
    with pytest.raises(NotReadable):
        read_private_key(text, "sesame")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        mail_leaf().pem,
        RSA_PKCS8[:-40],
        RSA_PKCS8.replace("MII", "AAA"),
        "-----BEGIN PRIVATE KEY-----\n\udcff\n-----END PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----",
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: NONSENSE,00\n\nAAAA\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----",
    ],
)
def test_unreadable(text: str) -> None:
    with pytest.raises(NotReadable):
        read_private_key(text, "x")


@pytest.mark.parametrize("arguments", [("-algorithm", "ed25519"), ("-algorithm", "ec", "-pkeyopt", "ec_paramgen_curve:secp256k1")])
def test_kinds_that_no_service_can_use(arguments: tuple[str, ...]) -> None:
    with pytest.raises(CertificateProblem, match="must be RSA with 1024 to 8192 bits") as caught:
        accepted(read_private_key(openssl("genpkey", *arguments)))
    assert str(caught.value) == KEY_KIND


@pytest.mark.parametrize("curve", ["P-256", "P-384", "P-521"])
def test_curves(curve: str) -> None:
    key = accepted(read_private_key(openssl("genpkey", "-algorithm", "ec", "-pkeyopt", f"ec_paramgen_curve:{curve}")))
    assert belongs(key, issue("x.test", key=key).certificate)


def test_pairs() -> None:
    assert belongs(rsa_key(), mail_leaf().certificate)
    assert not belongs(rsa_key(1), mail_leaf().certificate)
    assert not belongs(ec_key(), root().certificate)
