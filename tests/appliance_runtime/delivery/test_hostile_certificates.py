"""Certificates that the libraries accept and then stumble over never get further than a verdict."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance_runtime.delivery.verify import Kind, Reference, Rules, TrustAnchors, verify
from appliance_runtime.trust.https_servers import https_problem
from appliance_state.certificates.chain import leaf_first
from appliance_state.certificates.crl import RevocationLists
from appliance_state.certificates.facts import facts_of
from appliance_state.certificates.fqdn import fqdn_problems
from appliance_state.certificates.notes import notes
from appliance_state.certificates.pem import NotReadable, load_der
from appliance_state.certificates.profile_names import name_after
from tests.support.lab_ca import issuing, mail_leaf, root

NOW = datetime(2026, 11, 24, tzinfo=UTC)
LEAF, ISSUING, ROOT = (issued.certificate.public_bytes(Encoding.DER) for issued in (mail_leaf(), issuing(), root()))
ANCHORS = TrustAnchors([ROOT])
ALL_CHECKS = Rules(hosted=False, x509_check=True, fqdn_check=True)
REFERENCES = [Reference(Kind.DOMAIN, "mail.example.com")]
UNREADABLE = "the certificate cannot be read"


def look_at(leaf: bytes, issuer: bytes) -> str:
    """Everything that is done with certificates from outside; the verdict of verification."""
    result = verify([leaf, issuer], ANCHORS, ALL_CHECKS, REFERENCES, NOW)
    https_problem([leaf, issuer], "mail.example.com", ANCHORS, ALL_CHECKS, NOW)
    try:
        read = [load_der(leaf), load_der(issuer)]
    except NotReadable:
        return result.text
    for certificate in read:
        facts = facts_of(certificate)
        assert all(text.isprintable() for text in (facts.subject, facts.issuer, facts.common_name, *facts.alternative_names))
        fqdn_problems(certificate)
        name_after(certificate)
    leaf_first(read)
    notes(read[0], read[1:], [ROOT], NOW, str)
    RevocationLists().problem(read, NOW)
    return result.text


def test_the_pair_itself_is_good() -> None:
    assert look_at(LEAF, ISSUING) == ""


@settings(deadline=None, max_examples=400)
@given(st.integers(min_value=0), st.integers(0, 255), st.booleans())
def test_one_octet_changed(position: int, octet: int, in_leaf: bool) -> None:
    data = bytearray(LEAF if in_leaf else ISSUING)
    data[position % len(data)] = octet
    changed = bytes(data)
    text = look_at(changed, ISSUING) if in_leaf else look_at(LEAF, changed)
    assert text or changed in (LEAF, ISSUING) or not in_leaf, "a changed leaf is never verified"


def swapped(old: bytes, new: bytes) -> bytes:
    assert LEAF.count(old) >= 1 and len(old) == len(new)
    return LEAF.replace(old, new)


@pytest.mark.parametrize(
    "leaf",
    [
        b"",
        b"\x30\x00",
        swapped(bytes.fromhex("2a864886f70d010101"), bytes.fromhex("2a864886f70d010163")),  # a key of unknown kind
        swapped(b"mail.example.com", b"mail\x00example.com"),
        swapped(b"mail.example.com", b"mail\xffexample.com"),
        swapped(bytes.fromhex("551d11"), bytes.fromhex("551d13")),  # two basic constraints, one of them nonsense
    ],
)
def test_known_oddities(leaf: bytes) -> None:
    assert look_at(leaf, ISSUING) != ""


def test_a_key_that_openssl_cannot_decode() -> None:
    """OpenSSL then takes the certificate and refuses to give it out again."""
    at = ISSUING.index(bytes.fromhex("03420004")) + 4
    damaged = ISSUING[:at] + bytes([ISSUING[at] ^ 1]) + ISSUING[at + 1 :]  # a point that is not on the curve
    assert isinstance(load_der(damaged), x509.Certificate)
    assert look_at(damaged, ROOT) == UNREADABLE
