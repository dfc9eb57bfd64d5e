from __future__ import annotations

import itertools
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from appliance_state.certificates.ca_bundle import packaged_bundle
from appliance_state.certificates.chain import add_intermediates, chain_problem, from_below, in_issuer_order, is_self_signed, leaf_first
from appliance_state.certificates.facts import facts_of
from appliance_state.certificates.notes import check_chain, notes
from appliance_state.certificates.pem import load_der, read_certificate
from appliance_state.certificates.problem import NOT_AUTHORITY, ROOT, TOO_MANY_INTERMEDIATES, UNRELATED, CertificateProblem
from tests.support.lab_ca import END, START, Issued, issue, issuing, mail_leaf, openssl, root, rsa_key

NOW = datetime(2026, 11, 24, tzinfo=UTC)
LEAF, ISSUING, ROOT_CA = mail_leaf().certificate, issuing().certificate, root().certificate
ANCHOR = (ROOT_CA.public_bytes(Encoding.DER),)


def long_chain(length: int) -> list[Issued]:
    """A leaf and `length` intermediates above it, leaf first."""
    chain = [issue("Top", authority=True)]
    for number in range(length):
        chain.insert(0, issue(f"Level {number}", chain[0], authority=True))
    return [issue("leaf.test", chain[0]), *chain[:-1]]


CHAIN = long_chain(3)


def test_an_intermediate_that_signed_the_leaf() -> None:
    assert add_intermediates(LEAF, (), [ISSUING]) == [ISSUING]
    assert add_intermediates(LEAF, [ISSUING], [ISSUING]) == [ISSUING]


def test_an_intermediate_above_an_intermediate() -> None:
    leaf, *chain = (link.certificate for link in long_chain(3))
    assert add_intermediates(leaf, (), chain) == chain
    with pytest.raises(CertificateProblem, match="did not sign this certificate or its chain"):
        add_intermediates(leaf, (), chain[1:])


@pytest.mark.parametrize(
    ("certificate", "text"),
    [
        (ROOT_CA, ROOT),
        (issue("other.example.com", issuing()).certificate, NOT_AUTHORITY),
        (issue("Other Issuing CA", root(), authority=True).certificate, UNRELATED),
        (issue("Lab Issuing CA", root(), authority=True).certificate, UNRELATED),  # the right name, another key
    ],
)
def test_each_refusal_has_its_own_text(certificate: object, text: str) -> None:
    with pytest.raises(CertificateProblem) as caught:
        add_intermediates(LEAF, (), [certificate])  # type: ignore[list-item]
    assert str(caught.value) == text


def test_at_most_ten() -> None:
    leaf, *chain = (link.certificate for link in long_chain(11))
    assert len(add_intermediates(leaf, (), chain[:10])) == 10
    with pytest.raises(CertificateProblem) as caught:
        add_intermediates(leaf, (), chain)
    assert str(caught.value) == TOO_MANY_INTERMEDIATES


@pytest.mark.parametrize("order", [*itertools.permutations(range(4))])
def test_a_text_may_have_them_in_any_order(order: tuple[int, ...]) -> None:
    links = [link.certificate for link in CHAIN]
    assert leaf_first([links[number] for number in order]) == links
    assert leaf_first([links[number] for number in (*order, order[0])]) == links, "one of them twice"


def test_what_has_no_place_comes_last() -> None:
    leaf, *chain = (link.certificate for link in CHAIN)
    stranger = issue("Stranger", authority=True).certificate
    assert leaf_first([leaf, stranger, *reversed(chain)]) == [leaf, *chain, stranger]
    assert leaf_first([leaf, stranger]) == [leaf, stranger], "two that have nothing to do with each other"
    assert leaf_first([stranger]) == [stranger]
    assert leaf_first([ROOT_CA, ISSUING, LEAF]) == [LEAF, ISSUING, ROOT_CA]
    assert from_below([leaf], [stranger, *reversed(chain)]) == [*chain, stranger]
    assert from_below([leaf, chain[0]], [*reversed(chain[1:])]) == chain[1:]


def test_more_than_anybody_needs_stay_as_they_are() -> None:
    leaf, *chain = (link.certificate for link in CHAIN)
    many = [issue(f"Stranger {number}").certificate for number in range(31)]
    assert leaf_first([*chain, leaf, *many]) == [*chain, leaf, *many]
    assert from_below([leaf], [*many, *chain]) == [*many, *chain]


def test_candidates_are_put_in_issuer_order() -> None:
    leaf, *chain = (link.certificate for link in long_chain(4))
    unrelated = issue("Stranger", authority=True).certificate
    assert in_issuer_order(leaf, [*reversed(chain), unrelated, leaf, ROOT_CA]) == chain


def test_self_signed_is_more_than_self_issued() -> None:
    assert is_self_signed(ROOT_CA) and not is_self_signed(LEAF)
    name_only = issue("Lab Root CA", root(), authority=True).certificate
    assert name_only.subject == name_only.issuer and not is_self_signed(name_only)


def test_chain_to_an_anchor() -> None:
    assert chain_problem(LEAF, [ISSUING], ANCHOR, NOW) is None
    assert chain_problem(LEAF, [], ANCHOR, NOW) == "unable to get local issuer certificate"
    assert chain_problem(LEAF, [ISSUING], (), NOW) == "unable to get local issuer certificate"
    assert chain_problem(LEAF, [], (ISSUING.public_bytes(Encoding.DER),), NOW) is None


def test_validity_counts_where_a_time_is_given() -> None:
    late = END.replace(year=2031)
    assert chain_problem(LEAF, [ISSUING], ANCHOR, late) == "certificate has expired"
    assert chain_problem(LEAF, [ISSUING], ANCHOR, None) is None


def test_own_chain_check() -> None:
    check_chain(LEAF, [ISSUING], ANCHOR, NOW)
    check_chain(issue("self.test").certificate, [], (), NOW)
    with pytest.raises(CertificateProblem) as caught:
        check_chain(LEAF, [], ANCHOR, NOW)
    assert str(caught.value) == (
        "Cannot import certificate: The certificate authority validation could not be\n"
        "trusted for certificate because unable to get local issuer certificate"
    )


def test_an_anchor_that_openssl_cannot_read_costs_no_other() -> None:
    odd = ANCHOR[0].replace(b"Lab Root CA", b"Lab\xffRoot CA")
    assert load_der(odd) != ROOT_CA
    assert chain_problem(LEAF, [ISSUING], (odd, *ANCHOR), NOW) is None
    assert chain_problem(LEAF, [ISSUING], (odd,), NOW) == "unable to get local issuer certificate"


def test_notes() -> None:
    def date(moment: datetime) -> str:
        return moment.strftime("%d.%m.%Y")

    chain = "NOTE: The chain of this certificate does not end in a trusted certificate authority."
    weak = issue("weak.test", key=rsa_key(0, 1024)).certificate
    assert notes(LEAF, [ISSUING], ANCHOR, NOW, date) == []
    assert notes(LEAF, [], ANCHOR, NOW, date) == [chain]
    short = issue("Short CA", root(), authority=True, end=END.replace(year=2027))
    below = issue("below.test", short).certificate
    assert notes(below, [short.certificate], ANCHOR, END.replace(year=2028), date) == [
        'NOTE: The intermediate certificate "C=JP,O=Lab,CN=Short CA" expired on 01.01.2027.'
    ]
    assert notes(LEAF, [ISSUING], ANCHOR, END.replace(year=2031), date) == ["NOTE: This certificate expired on 01.01.2030."]
    assert notes(LEAF, [ISSUING], ANCHOR, START.replace(year=2025), date) == ["NOTE: This certificate is not valid before 01.01.2026."]
    assert notes(weak, [], (), NOW, date) == ["NOTE: The private key has 1024 bits. Some peers accept only 2048 bits and more."]


def test_every_root_of_the_system_list_is_self_signed() -> None:
    assert [facts_of(certificate).subject for certificate in packaged_bundle().certificates if not is_self_signed(certificate)] == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("rsa:2048", "-sha1"),
        ("rsa:2048", "-sha256", "-sigopt", "rsa_padding_mode:pss"),
        ("ed25519",),
        ("ed448",),
    ],
)
def test_signature_algorithms(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    made = openssl("req", "-x509", "-newkey", *arguments, "-nodes", "-subj", "/CN=x.test", "-keyout", tmp_path / "key.pem")
    certificate = read_certificate(made)
    assert is_self_signed(certificate)
    damaged = bytearray(certificate.public_bytes(Encoding.DER))
    damaged[-1] ^= 1
    assert not is_self_signed(load_der(bytes(damaged)))
