"""`asyncos-shell lab tlsa` and TLSA data in zone text: the records that a certificate needs."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import dns.message
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from appliance_runtime.delivery.tlsa import usable
from appliance_runtime.dns.answers import Tlsa
from asyncos_shell.lab.authority import Authority, Identity
from asyncos_shell.lab.dns_server import LabDns
from tests.support.program import run_program

NOW = datetime(2026, 3, 6, 9, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def identity() -> Identity:
    return Authority.root("Lab Root CA", NOW).intermediate("Lab Intermediate CA", NOW).issue(NOW, dns_names=["mx1.d.test", "d.test"])


@pytest.fixture
def pem(identity: Identity, tmp_path: Path) -> Path:
    file = tmp_path / "chain.pem"
    file.write_bytes(identity.pem)
    return file


def content(identity: Identity, usage: int, selector: int) -> bytes:
    certificate = identity.certificate if usage in (1, 3) else identity.chain[-1]
    if selector == 0:
        return certificate.public_bytes(Encoding.DER)
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def expected(identity: Identity, usage: int, selector: int, matching_type: int) -> bytes:
    octets = content(identity, usage, selector)
    return [octets, hashlib.sha256(octets).digest(), hashlib.sha512(octets).digest()][matching_type]


def test_all_twenty_four_forms(pem: Path, identity: Identity, tmp_path: Path) -> None:
    status, output, errors = run_program("lab", "tlsa", str(pem), home=tmp_path)
    assert (status, errors) == (0, "")
    rows = [line.split() for line in output.splitlines()]
    assert {tuple(row[:3]) for row in rows} == {("_25._tcp.mx1.d.test.", "IN", "TLSA")}
    forms = [tuple(map(int, row[3:6])) for row in rows]
    assert forms == [(usage, selector, kind) for usage in range(4) for selector in range(2) for kind in range(3)]
    for row, (usage, selector, kind) in zip(rows, forms, strict=True):
        data = bytes.fromhex(row[6])
        assert data == expected(identity, usage, selector, kind)
        assert usable(Tlsa(usage=usage, selector=selector, matching_type=kind, data=data))


def test_a_chosen_form(pem: Path, identity: Identity, tmp_path: Path) -> None:
    status, output, _ = run_program("lab", "tlsa", str(pem), "--usage", "3", "--selector=1", "--type", "1", home=tmp_path)
    assert (status, output) == (0, f"_25._tcp.mx1.d.test. IN TLSA 3 1 1 {expected(identity, 3, 1, 1).hex()}\n")
    assert len(run_program("lab", "tlsa", str(pem), "--usage", "2", home=tmp_path)[1].splitlines()) == 6


@pytest.mark.parametrize(
    ("words", "status", "error"),
    [
        (("tlsa", "none.pem"), 1, "Error: [Errno 2] No such file or directory: 'none.pem'\n"),
        (("tlsa", "/dev/null"), 1, "Error: There is no readable certificate in /dev/null.\n"),
        (("tlsa", "x.pem", "--usage", "4"), 2, "4 is not in the range"),
        (("unheard",), 2, "No such command 'unheard'"),
    ],
)
def test_what_cannot_be_done(words: tuple[str, ...], status: int, error: str, tmp_path: Path) -> None:
    done, output, errors = run_program("lab", *words, home=tmp_path)
    assert (done, output) == (status, "") and error in errors


def test_data_in_zone_text_is_that_of_the_peer(identity: Identity) -> None:
    lab = LabDns(now=lambda: NOW)
    text = "_25._tcp.mx1 TLSA {{ tlsa 3 1 1 mx1 }}\n_25._tcp.mx1 TLSA {{tlsa 2 0 2 mx1}}"
    lab.zone("d.test", text, chains={"mx1": identity.der})
    octets = lab.answer(dns.message.make_query("_25._tcp.mx1.d.test", "TLSA").to_wire(), "tcp")
    assert octets is not None
    (rrset,) = dns.message.from_wire(octets).answer
    assert {(record.usage, record.cert) for record in rrset} == {(3, expected(identity, 3, 1, 1)), (2, expected(identity, 2, 0, 2))}
    with pytest.raises(ValueError, match="there is no peer mx2"):
        lab.zone("d.test", "@ TLSA {{ tlsa 3 1 1 mx2 }}", chains={"mx1": identity.der})
