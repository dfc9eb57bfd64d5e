"""The table of certconfig.md 4.6, row by row."""

from __future__ import annotations

import pytest

from appliance_state.certificates.fqdn import common_name_text, fqdn_problems, fqdn_text
from appliance_state.certificates.names import shown
from appliance_state.certificates.pem import read_certificate
from appliance_state.names import is_fqdn
from tests.support.fqdn_names import ACCEPTED, ALL, REJECTED
from tests.support.lab_ca import issue, openssl

RULES = """\
A valid domain name is a string that must match the following rules:
- A label is a set of characters, numbers, dashes, and underscores.
- The first and last character of a label must be a letter or a number.
- The domain must have at least 2 labels separated by a period.
- The last label cannot be all numbers."""


def test_the_table_is_long_enough() -> None:
    assert len(ALL) == len({name for name, _ in ALL}) >= 40
    assert {len(name) for name in ACCEPTED} >= {3, 253} and {len(name) for name in REJECTED} >= {0, 254}


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted(name: str) -> None:
    assert is_fqdn(name)
    assert common_name_text(name) is None


@pytest.mark.parametrize("name", REJECTED)
def test_rejected(name: str) -> None:
    assert not is_fqdn(name)
    line = f'Common Name "{shown(name)}" is not in Fully Qualified Domain Name(FQDN) format.'
    assert common_name_text(name) == f"{line}\n{RULES}"


@pytest.mark.parametrize(
    ("name", "good"), [(name, good) for name, good in ALL if 0 < len(name) <= 64 and name.isprintable() and "/" not in name]
)
def test_common_name_of_a_certificate_made_by_openssl(name: str, good: bool) -> None:
    subject = f"/CN={name}"
    made = openssl(
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-utf8", "-subj", subject, "-keyout", "/dev/null"
    )
    assert (fqdn_problems(read_certificate(made)) is None) == good


def test_every_dns_name_counts() -> None:
    certificate = issue("mail.example.com", dns=["www.example.com", "localhost", "*.com"]).certificate
    assert fqdn_problems(certificate) == [
        'SAN:dNSName "localhost" is not in Fully Qualified Domain Name(FQDN) format.',
        'SAN:dNSName "*.com" is not in Fully Qualified Domain Name(FQDN) format.',
    ]


def test_no_common_name_but_good_dns_names() -> None:
    assert fqdn_problems(issue(None, dns=["www.example.com"]).certificate) is None


def test_neither_common_name_nor_dns_name_fails() -> None:
    problems = fqdn_problems(issue(None).certificate)
    assert problems == []
    assert fqdn_text(problems) == f"Certificate import failed due to certificate pair with invalid FQDN\n{RULES}"


def test_failed_import() -> None:
    problems = fqdn_problems(issue("mailhost", dns=["www.example.com"]).certificate)
    assert problems is not None
    assert fqdn_text(problems) == (
        "Certificate import failed due to certificate pair with invalid FQDN\n"
        'Common Name "mailhost" is not in Fully Qualified Domain Name(FQDN) format.\n' + RULES
    )
