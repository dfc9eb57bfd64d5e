"""Optional checks of a server certificate (delivery.md 5.5): the FQDN table, signature algorithms of real certificates."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed448, ed25519
from cryptography.hazmat.primitives.serialization import Encoding

from appliance_runtime.delivery.peer_checks import checks_problem, fqdn_problem, peer_problem, signature_problem
from appliance_runtime.delivery.peer_names import PresentedNames, presented_names
from appliance_runtime.logs.escaping import escape
from appliance_state.certificates.keys import private_key_pem
from appliance_state.certificates.pem import load_der, read_certificate
from appliance_state.model.tls_settings import SslSettings
from tests.support.fqdn_names import ALL
from tests.support.lab_ca import ec_key, issue, openssl, rsa_key

GOOD = "mx1.d.test"
BOTH = SslSettings(peer_cert_fqdn=True, peer_cert_x509=True)


@pytest.mark.parametrize(("name", "good"), ALL)
def test_fqdn_of_common_name_and_of_dns_names(name: str, good: bool) -> None:
    by_common_name = fqdn_problem(PresentedNames(common_name=name, dns_names=(GOOD,)))
    by_dns_name = fqdn_problem(PresentedNames(common_name=GOOD, dns_names=(GOOD, name)))
    text = f'name "{escape(name)}" is not a fully qualified domain name'
    assert (by_common_name, by_dns_name) == ((None, None) if good else (f"{text} (commonName)", f"{text} (dNSName)"))


def test_no_common_name_is_no_problem() -> None:
    assert fqdn_problem(PresentedNames(common_name=None, dns_names=("d.test",))) is None
    assert fqdn_problem(PresentedNames(common_name=None, dns_names=())) is None


def test_the_first_bad_name_is_named() -> None:
    names = PresentedNames(common_name="mailhost", dns_names=("localhost",))
    assert fqdn_problem(names) == 'name "mailhost" is not a fully qualified domain name (commonName)'


RSA, EC = "rsa", "ec"
PSS = ("-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:-1")
SIGNATURES = [
    (RSA, "-sha224", (), ""),
    (RSA, "-sha256", (), ""),
    (RSA, "-sha384", (), ""),
    (RSA, "-sha512", (), ""),
    (RSA, "-sha1", (), "sha1WithRSAEncryption"),
    (RSA, "-md5", (), "md5WithRSAEncryption"),
    (RSA, "-md4", ("-provider", "legacy", "-provider", "default"), "md4WithRSAEncryption"),
    (RSA, "-sha224", PSS, ""),
    (RSA, "-sha256", PSS, ""),
    (RSA, "-sha512", PSS, ""),
    (RSA, "-sha1", PSS, "rsassaPss"),
    (RSA, "-sha512-256", (), "1.2.840.113549.1.1.16"),
    (EC, "-sha224", (), ""),
    (EC, "-sha256", (), ""),
    (EC, "-sha384", (), ""),
    (EC, "-sha512", (), ""),
    (EC, "-sha1", (), "ecdsa-with-SHA1"),
    ("ed25519", "", (), ""),
    ("ed448", "", (), ""),
]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    made = {"rsa": rsa_key(), "ec": ec_key(), "ed25519": ed25519.Ed25519PrivateKey.generate(), "ed448": ed448.Ed448PrivateKey.generate()}
    for name, key in made.items():
        (folder / name).write_bytes(private_key_pem(key))  # type: ignore[arg-type]
    return folder


def certificate(key: Path, digest: str, *options: str) -> bytes:
    """DER of a self-signed certificate by the openssl command."""
    made = openssl("req", "-x509", "-new", "-key", key, "-subj", f"/CN={GOOD}", *filter(None, [digest]), *options)
    return read_certificate(made).public_bytes(Encoding.DER)


@pytest.mark.parametrize(("key", "digest", "options", "refused"), SIGNATURES)
def test_signature_algorithms_of_certificates_by_openssl(keys: Path, key: str, digest: str, options: tuple[str, ...], refused: str) -> None:
    der = certificate(keys / key, digest, *options)
    expected = f"signature algorithm {refused} is not allowed (CN={GOOD})" if refused else None
    assert signature_problem(load_der(der)) == expected
    assert peer_problem([der], BOTH) == expected
    assert peer_problem([der], SslSettings(peer_cert_fqdn=True)) is None


def test_pss_with_a_hash_that_nobody_knows(keys: Path) -> None:
    sha256, unknown = bytes.fromhex("608648016503040201"), bytes.fromhex("608648016503040263")
    der = certificate(keys / "rsa", "-sha256", *PSS).replace(sha256, unknown)
    assert peer_problem([der], BOTH) == f"signature algorithm rsassaPss is not allowed (CN={GOOD})"


def test_the_signature_is_looked_at_before_the_names(keys: Path) -> None:
    server = load_der(certificate(keys / RSA, "-sha1"))
    names = PresentedNames(common_name="mailhost", dns_names=())
    assert (
        checks_problem(server, names, fqdn=True, x509_check=True) == f"signature algorithm sha1WithRSAEncryption is not allowed (CN={GOOD})"
    )
    assert checks_problem(server, names, fqdn=True, x509_check=False) == 'name "mailhost" is not a fully qualified domain name (commonName)'
    assert checks_problem(server, names, fqdn=False, x509_check=False) is None


def test_what_is_no_certificate() -> None:
    assert peer_problem([], BOTH) == "no certificate"
    assert peer_problem([b"0\x03\x02\x01\x05"], BOTH) == "the certificate cannot be read"
    assert peer_problem([], SslSettings()) is None, "what is not checked is not read"


def test_a_name_with_an_escape_sequence_stays_text() -> None:
    server = issue("mail\x1b[31m.example.com").certificate
    assert fqdn_problem(presented_names(server)) == r'name "mail\x1b[31m.example.com" is not a fully qualified domain name (commonName)'
