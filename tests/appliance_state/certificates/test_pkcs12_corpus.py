"""PKCS#12 files of OpenSSL, GnuTLS, Java and NSS, in default and legacy modes, are all read (tests/data/README.md)."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance_state.certificates.chain import signed_by
from appliance_state.certificates.facts import facts_of
from appliance_state.certificates.keys import belongs
from appliance_state.certificates.pkcs12 import read_pkcs12
from appliance_state.certificates.problem import KEY_KIND, NO_CERTIFICATE, NO_KEY, NOT_PKCS12, CertificateProblem

FOLDER = Path(__file__).parents[2] / "data" / "pkcs12"
ROWS = [line.split("\t") for line in (FOLDER / "files.tsv").read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
GOOD = [row for row in ROWS if not row[0].startswith("bad-")]
BAD = [row for row in ROWS if row[0].startswith("bad-")]
REASONS = {"no key": NO_KEY, "no certificate": NO_CERTIFICATE, "key kind": KEY_KIND, "damaged": NOT_PKCS12}
OLD_CIPHERS = [bytes.fromhex(f"2a864886f70d010c01{last:02x}") for last in range(1, 7)]
"""identifiers of the ciphers of PKCS#12 itself (RFC 7292 appendix C)"""
PBES2 = bytes.fromhex("2a864886f70d01050d")


@pytest.mark.parametrize(("file", "passphrase", "common_name", "key", "intermediates"), GOOD, ids=[row[0] for row in GOOD])
def test_files_that_are_read(file: str, passphrase: str, common_name: str, key: str, intermediates: str) -> None:
    pair = read_pkcs12((FOLDER / file).read_bytes(), passphrase)
    facts = facts_of(pair.certificate)
    assert (facts.common_name, facts.key, len(pair.intermediates)) == (common_name, key, int(intermediates))
    assert belongs(pair.key, pair.certificate)
    assert all(signed_by(pair.certificate, issuer) for issuer in pair.intermediates)


ENCRYPTED = [row for row in GOOD if row[1] and "nothing-encrypted" not in row[0]]


@pytest.mark.parametrize(("file", "passphrase"), [row[:2] for row in ENCRYPTED], ids=[row[0] for row in ENCRYPTED])
def test_another_passphrase_opens_none(file: str, passphrase: str) -> None:
    for wrong in (f"{passphrase}x", passphrase.upper(), ""):
        with pytest.raises(CertificateProblem) as caught:
            read_pkcs12((FOLDER / file).read_bytes(), wrong)
        assert str(caught.value) == NOT_PKCS12


@pytest.mark.parametrize(("file", "passphrase", "reason"), [(row[0], row[1], row[3]) for row in BAD], ids=[row[0] for row in BAD])
def test_files_that_are_refused(file: str, passphrase: str, reason: str) -> None:
    with pytest.raises(CertificateProblem) as caught:
        read_pkcs12((FOLDER / file).read_bytes(), passphrase)
    assert str(caught.value) == REASONS[reason]


def test_the_corpus_is_what_it_says() -> None:
    """Each program in both modes, and the legacy files really use the old ciphers."""
    assert len(GOOD) >= 30 and {path.name for path in FOLDER.glob("*.p12")} == {row[0] for row in ROWS}
    for program in ("openssl", "gnutls", "keytool", "nss"):
        modes = [row[0] for row in GOOD if row[0].startswith(f"{program}-")]
        assert any("legacy" in file for file in modes) and f"{program}-default.p12" in modes
        assert PBES2 in (FOLDER / f"{program}-default.p12").read_bytes()
    for row in GOOD:
        if "legacy" in row[0]:
            data = (FOLDER / row[0]).read_bytes()
            assert any(cipher in data for cipher in OLD_CIPHERS) and PBES2 not in data, row[0]
