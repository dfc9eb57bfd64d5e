"""`asyncos-shell lab tlsa` against openssl: the same octets and digests for all 24 forms."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import Authority
from tests.support.served import PROGRAM, command

pytestmark = pytest.mark.e2e


def piped(words: list[str], octets: bytes) -> bytes:
    return subprocess.run(words, input=octets, capture_output=True, check=True).stdout


def content(certificate: Path, selector: int) -> bytes:
    pem = certificate.read_bytes()
    if selector == 0:
        return piped(["openssl", "x509", "-outform", "DER"], pem)
    return piped(["openssl", "pkey", "-pubin", "-outform", "DER"], piped(["openssl", "x509", "-noout", "-pubkey"], pem))


def digest(octets: bytes, matching_type: int) -> bytes:
    return octets if matching_type == 0 else piped(["openssl", "dgst", "-binary", ("-sha256", "-sha512")[matching_type - 1]], octets)


def test_all_forms_are_what_openssl_makes_of_the_certificates(authority: Authority, tmp_path: Path) -> None:
    leaf, _ = authority.issue(tmp_path, "mx1.partner.test")
    chain = tmp_path / "chain.pem"
    chain.write_bytes(leaf.read_bytes() + authority.root.read_bytes())
    done = command(*PROGRAM, "lab", "tlsa", str(chain))
    assert (done.returncode, done.stderr) == (0, "")
    lines = [
        f"_25._tcp.mx1.partner.test. IN TLSA {usage} {selector} {kind} "
        + digest(content(leaf if usage in (1, 3) else authority.root, selector), kind).hex()
        for usage in range(4)
        for selector in range(2)
        for kind in range(3)
    ]
    assert done.stdout.splitlines() == lines
