"""TLSA records against certificates of the lab CA: usability, matching, conditions, texts (RFC 6698 2.1, RFC 7671; delivery.md 7.4)."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any, NamedTuple

import pytest
from attrs import evolve
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance_runtime.delivery.tlsa import Presented, counting, discouraged, match, outcomes, public_key_of, selected, shown, usable
from appliance_runtime.delivery.verify import TrustAnchors
from appliance_runtime.dns.answers import Tlsa
from asyncos_shell.lab.authority import Authority, Identity, rsa_root, self_signed

NOW = datetime(2026, 3, 6, 9, 0, tzinfo=UTC)
BASE, DOMAIN = "mx1.d.test", "d.test"
BAD = bytes(32)


class World(NamedTuple):
    root: Authority
    intermediate: Authority
    identity: Identity
    """its chain is sent in full"""
    anchors: TrustAnchors


@pytest.fixture(scope="module")
def world() -> World:
    root = Authority.root("Lab Root CA", NOW)
    intermediate = root.intermediate("Lab Intermediate CA", NOW)
    return World(root, intermediate, full(intermediate.issue(NOW, common_name=BASE, dns_names=[BASE]), root), TrustAnchors([root.der]))


def full(identity: Identity, root: Authority) -> Identity:
    """The root is sent, too."""
    return evolve(identity, chain=(*identity.chain, root.certificate))


def peer(identity: Identity, *, anchors: TrustAnchors | None = None, **fields: Any) -> Presented:
    known = {"base": BASE, "domain": DOMAIN, "host": BASE, "x509_check": False, "fqdn_check": False, "now": NOW, **fields}
    return Presented(chain=identity.der, anchors=anchors or TrustAnchors([]), **known)


def record(usage: int, selector: int, matching_type: int, certificate: bytes) -> Tlsa:
    return Tlsa(usage=usage, selector=selector, matching_type=matching_type, data=selected(certificate, selector, matching_type))


COMBINATIONS = list(product(range(4), range(2), range(3)))


def of_chain(usage: int, identity: Identity) -> bytes:
    """The certificate that a record of this usage names: the server's, or the root."""
    return identity.der[0] if usage in (1, 3) else identity.der[-1]


@pytest.mark.parametrize(("usage", "selector", "matching_type"), COMBINATIONS)
def test_each_combination_matches_its_certificate(world: World, usage: int, selector: int, matching_type: int) -> None:
    good = record(usage, selector, matching_type, of_chain(usage, world.identity))
    assert usable(good)
    assert match([good], peer(world.identity, anchors=world.anchors)).record == good


@pytest.mark.parametrize(("usage", "selector", "matching_type"), COMBINATIONS)
@pytest.mark.parametrize("position", [0, 11, -1])
def test_no_combination_matches_with_a_bit_changed(world: World, usage: int, selector: int, matching_type: int, position: int) -> None:
    good = record(usage, selector, matching_type, of_chain(usage, world.identity))
    data = bytearray(good.data)
    data[position] ^= 1
    assert not match([evolve(good, data=bytes(data))], peer(world.identity, anchors=world.anchors)).ok


def test_a_key_is_compared_as_it_was_sent(world: World) -> None:
    certificate = world.identity.certificate
    encoded = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert public_key_of(world.identity.der[0]) == encoded
    assert selected(world.identity.der[0], 1, 2) == hashlib.sha512(encoded).digest()
    with pytest.raises(ValueError):
        public_key_of(world.identity.der[0][:-1])


@pytest.mark.parametrize(
    ("usage", "selector", "matching_type", "data", "expected"),
    [
        (3, 1, 1, BAD, True),
        (3, 1, 2, bytes(64), True),
        (4, 0, 1, BAD, False),
        (255, 0, 1, BAD, False),
        (3, 2, 1, BAD, False),
        (3, 255, 1, BAD, False),
        (3, 1, 9, BAD, False),
        (3, 1, 255, BAD, False),
        (3, 1, 1, BAD[:-1], False),
        (3, 1, 1, BAD + b"\0", False),
        (3, 1, 2, BAD, False),
        (3, 1, 1, b"", False),
        (3, 0, 0, b"", False),
        (3, 0, 0, b"no certificate", False),
        (2, 0, 0, b"\x30\x03\x02\x01\x01", False),
        (3, 1, 0, b"\x30\x00", False),
        (2, 1, 0, b"no key", False),
    ],
)
def test_usable(usage: int, selector: int, matching_type: int, data: bytes, expected: bool) -> None:
    assert usable(Tlsa(usage=usage, selector=selector, matching_type=matching_type, data=data)) is expected


def test_a_full_certificate_must_stand_alone(world: World) -> None:
    certificate = world.identity.der[0]
    assert usable(Tlsa(usage=3, selector=0, matching_type=0, data=certificate))
    assert not usable(Tlsa(usage=3, selector=0, matching_type=0, data=certificate + b"\0"))
    assert not usable(Tlsa(usage=3, selector=1, matching_type=0, data=certificate))


def test_a_key_of_another_algorithm_is_usable_and_matches_nothing(world: World) -> None:
    key = dsa.generate_private_key(1024).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    other = Tlsa(usage=3, selector=1, matching_type=0, data=key)
    assert usable(other)
    assert not match([other], peer(world.identity)).ok


@pytest.mark.parametrize(
    ("forms", "expected"),
    [
        ([(3, 1, 1), (3, 1, 2)], [(3, 1, 2)]),
        ([(2, 0, 1), (2, 0, 2)], [(2, 0, 2)]),
        ([(3, 0, 1), (3, 1, 2)], [(3, 0, 1), (3, 1, 2)]),
        ([(2, 1, 1), (3, 1, 2)], [(2, 1, 1), (3, 1, 2)]),
        ([(1, 1, 1), (1, 1, 2)], [(1, 1, 1), (1, 1, 2)]),
        ([(3, 1, 0), (3, 1, 1), (3, 1, 2)], [(3, 1, 0), (3, 1, 2)]),
    ],
)
def test_stronger_digests_take_weaker_ones_out_of_force(
    world: World, forms: list[tuple[int, int, int]], expected: list[tuple[int, int, int]]
) -> None:
    records = [record(*form, world.identity.der[0]) for form in forms]
    assert [(one.usage, one.selector, one.matching_type) for one in counting(records)] == expected


def test_an_unusable_strong_digest_takes_nothing_out_of_force(world: World) -> None:
    good = record(3, 1, 1, world.identity.der[0])
    assert counting([good, Tlsa(usage=3, selector=1, matching_type=2, data=BAD)]) == (good,)


def test_the_weaker_digest_of_a_renewed_key_does_not_help(world: World) -> None:
    good = record(3, 1, 1, world.identity.der[0])
    result = match([good, Tlsa(usage=3, selector=1, matching_type=2, data=bytes(64))], peer(world.identity))
    assert not result.ok and result.text.startswith("no TLSA record of mx1.d.test matches the certificate (presented 3 1 1 ")


def test_the_digest_that_was_presented_is_named(world: World) -> None:
    digest = selected(world.identity.der[0], 1, 1).hex()
    text = match([Tlsa(usage=3, selector=1, matching_type=1, data=BAD)], peer(world.identity)).text
    assert text == f"no TLSA record of mx1.d.test matches the certificate (presented 3 1 1 {digest[:8]}…{digest[-4:]})"


def test_a_peer_without_certificate() -> None:
    nobody = Presented(chain=[], base=BASE, domain=DOMAIN, host=BASE, anchors=TrustAnchors([]), x509_check=False, fqdn_check=False, now=NOW)
    result = match([Tlsa(usage=u, selector=1, matching_type=1, data=BAD) for u in range(4)], nobody)
    assert result.text == "no TLSA record of mx1.d.test matches the certificate (presented no certificate)"


# usage 3: nothing but the certificate counts


@pytest.mark.parametrize("selector", [0, 1])
def test_end_entity_without_any_condition(selector: int) -> None:
    expired = self_signed(NOW - timedelta(days=200), common_name="zzz.test")
    assert match([record(3, selector, 1, expired.der[0])], peer(expired, fqdn_check=True, x509_check=True)).ok


def test_end_entity_with_a_usage_for_clients_only(world: World) -> None:
    identity = world.root.issue(NOW, common_name="zzz.test", usages=[ExtendedKeyUsageOID.CLIENT_AUTH])
    assert match([record(3, 1, 1, identity.der[0])], peer(identity)).ok


def test_end_entity_in_front_of_a_hundred_certificates(world: World) -> None:
    many = evolve(world.identity, chain=world.identity.chain[:1] * 100)
    assert match([record(3, 1, 1, many.der[0])], peer(many)).ok
    assert not match([record(2, 0, 1, world.root.der)], peer(many)).ok


def test_renewed_certificate_with_the_same_key(world: World) -> None:
    old = world.intermediate.issue(NOW, common_name=BASE, dns_names=[BASE])
    renewed = evolve(old, certificate=reissued(old, world.intermediate))
    assert not match([record(3, 0, 1, old.der[0])], peer(renewed)).ok
    assert match([record(3, 1, 1, old.der[0])], peer(renewed)).ok


def reissued(identity: Identity, issuer: Authority) -> x509.Certificate:
    old = identity.certificate
    builder = x509.CertificateBuilder(old.issuer, old.subject, old.public_key(), 4711, NOW, NOW + timedelta(days=30))
    return builder.sign(issuer.key, old.signature_hash_algorithm)  # type: ignore[arg-type]


# usage 2: a path to the certificate named


def anchored(world: World, *, common_name: str | None = None, dns_names: list[str] | None = None, **fields: Any) -> Identity:
    return full(world.intermediate.issue(NOW, common_name=common_name, dns_names=dns_names or [], **fields), world.root)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({"dns_names": [BASE]}, ""),
        ({"dns_names": [DOMAIN]}, ""),
        ({"dns_names": ["alias.d.test"]}, ""),
        ({"dns_names": ["*.d.test"]}, ""),
        ({"common_name": BASE}, ""),
        (
            {"dns_names": ["other.example"]},
            "hostname mismatch (expected mx1.d.test, d.test, alias.d.test; presented dNSName=other.example)",
        ),
        (
            {"common_name": BASE, "dns_names": ["other.example"]},
            "hostname mismatch (expected mx1.d.test, d.test, alias.d.test; presented CN=mx1.d.test, dNSName=other.example)",
        ),
    ],
)
def test_names_of_a_certificate_below_an_anchor(world: World, names: dict[str, Any], expected: str) -> None:
    identity = anchored(world, **names)
    result = match([record(2, 1, 1, world.intermediate.der)], peer(identity, host="alias.d.test"))
    assert result.ok is not bool(expected)
    assert result.text == (f"TLSA 2 1 1 of mx1.d.test: {expected}" if expected else "")


def test_anchor_below_which_the_certificate_has_expired(world: World) -> None:
    identity = anchored(world, common_name=BASE, days=1, starts=timedelta(days=-2))
    text = match([record(2, 0, 1, world.root.der)], peer(identity)).text
    assert text == "TLSA 2 0 1 of mx1.d.test: certificate has expired (CN=mx1.d.test)"


def test_anchor_needs_no_list_of_authorities_and_no_list_replaces_it(world: World) -> None:
    other = TrustAnchors([Authority.root("Other Root CA", NOW).der])
    assert match([record(2, 0, 1, world.root.der)], peer(world.identity, anchors=other)).ok
    assert not match([record(2, 0, 1, Authority.root("Other", NOW).der)], peer(world.identity, anchors=world.anchors)).ok


def test_a_digest_of_an_anchor_that_is_not_sent_matches_nothing(world: World) -> None:
    sent = evolve(world.identity, chain=world.identity.chain[:1])
    assert match([record(2, 0, 1, world.root.der)], peer(sent)).text.startswith("no TLSA record of")
    assert match([record(2, 0, 0, world.root.der)], peer(sent)).ok


def test_a_full_certificate_that_issued_nothing_here_matches_nothing(world: World) -> None:
    other = record(2, 0, 0, Authority.root("Other Root CA", NOW).der)
    assert match([other], peer(world.identity)).text.startswith("no TLSA record of")


def test_a_full_anchor_above_a_bad_certificate_matches_and_fails(world: World) -> None:
    sent = world.intermediate.issue(NOW, common_name=BASE, usages=[ExtendedKeyUsageOID.CLIENT_AUTH])
    text = match([record(2, 0, 0, world.root.der)], peer(sent)).text
    assert text == "TLSA 2 0 0 of mx1.d.test: unsuitable certificate purpose (CN=mx1.d.test)"


def test_self_signed_certificate_as_its_own_anchor() -> None:
    identity = self_signed(NOW, common_name=BASE, dns_names=[BASE])
    assert match([record(2, 0, 1, identity.der[0])], peer(identity)).ok


def test_an_anchor_that_may_not_issue(world: World) -> None:
    nobody = world.root.intermediate("No CA", NOW, ca=False)
    identity = nobody.issue(NOW, common_name=BASE)
    text = match([record(2, 0, 1, nobody.der)], peer(identity)).text
    assert text == "TLSA 2 0 1 of mx1.d.test: invalid CA certificate (CN=No CA)"


# usages 0 and 1: the appliance's authorities, too


def test_trusted_authority(world: World) -> None:
    for authority in (world.root, world.intermediate):
        assert match([record(0, 0, 1, authority.der)], peer(world.identity, anchors=world.anchors)).ok
    unsent = evolve(world.identity, chain=world.identity.chain[:1])
    assert match([record(0, 0, 1, world.root.der)], peer(unsent, anchors=world.anchors)).ok
    assert not match([record(0, 0, 1, world.identity.der[0])], peer(world.identity, anchors=world.anchors)).ok


def test_authority_that_no_list_has(world: World) -> None:
    text = match([record(0, 0, 1, world.root.der)], peer(world.identity)).text
    assert text == "TLSA 0 0 1 of mx1.d.test: self-signed certificate in certificate chain (CN=Lab Root CA)"
    text = match([record(1, 0, 1, world.identity.der[0])], peer(world.identity)).text
    assert text == "TLSA 1 0 1 of mx1.d.test: self-signed certificate in certificate chain (CN=Lab Root CA)"


def test_another_trusted_authority_does_not_count(world: World) -> None:
    other = Authority.root("Other Root CA", NOW)
    anchors = TrustAnchors([world.root.der, other.der])
    assert match([record(0, 0, 1, other.der)], peer(world.identity, anchors=anchors)).text.startswith("no TLSA record of")


@pytest.mark.parametrize("usage", [0, 1])
def test_names_and_optional_checks_count_with_authorities(world: World, usage: int) -> None:
    wrong = anchored(world, dns_names=["other.test"])
    text = match([record(usage, 1, 1, of_chain(usage, wrong))], peer(wrong, anchors=world.anchors)).text
    assert text == f"TLSA {usage} 1 1 of mx1.d.test: hostname mismatch (expected mx1.d.test, d.test; presented dNSName=other.test)"
    short = anchored(world, common_name="mailhost", dns_names=[BASE])
    records = [record(usage, 1, 1, of_chain(usage, short))]
    assert match(records, peer(short, anchors=world.anchors)).ok
    text = match(records, peer(short, anchors=world.anchors, fqdn_check=True)).text
    assert text == f'TLSA {usage} 1 1 of mx1.d.test: name "mailhost" is not a fully qualified domain name (commonName)'


@pytest.mark.parametrize("usage", [0, 1, 2, 3])
def test_the_signature_check_counts_with_authorities_only(usage: int) -> None:
    root = rsa_root("Lab RSA Root CA", NOW)
    identity = full(root.issue(NOW, common_name=BASE, dns_names=[BASE], sha1=True), root)
    records = [record(usage, 0, 1, of_chain(usage, identity))]
    result = match(records, peer(identity, anchors=TrustAnchors([root.der]), x509_check=True))
    expected = f"TLSA {usage} 0 1 of mx1.d.test: signature algorithm sha1WithRSAEncryption is not allowed (CN=mx1.d.test)"
    assert result.text == (expected if usage < 2 else "")


# sets


def test_one_record_is_enough(world: World) -> None:
    good = record(3, 1, 1, world.identity.der[0])
    records = [evolve(good, data=BAD), Tlsa(usage=3, selector=1, matching_type=99, data=BAD), record(0, 0, 1, world.root.der), good]
    assert match(records, peer(world.identity)).record == good


def test_outcomes_tell_each_record(world: World) -> None:
    good = record(3, 1, 1, world.identity.der[0])
    found = list(outcomes([evolve(good, data=BAD), record(0, 0, 1, world.root.der), good], peer(world.identity)))
    assert [(one.matches, bool(one.problem), one.ok) for one in found] == [(False, False, False), (True, True, False), (True, False, True)]


octets = st.binary(max_size=60)
records = st.builds(Tlsa, usage=st.integers(0, 5), selector=st.integers(0, 2), matching_type=st.integers(0, 3), data=octets)


@given(data=st.data(), strange=st.lists(records, max_size=4))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
def test_no_certificate_and_no_record_is_too_strange(world: World, data: st.DataObject, strange: list[Tlsa]) -> None:
    """Chains and records with octets changed, left out or put in: a verdict, never an error."""
    chain = [_damaged(data, one) for one in data.draw(st.permutations(world.identity.der))]
    full = [Tlsa(usage=usage, selector=0, matching_type=0, data=_damaged(data, world.root.der)) for usage in range(4)]
    shown_peer = evolve(
        peer(world.identity, anchors=world.anchors), chain=data.draw(st.sampled_from([chain, chain[:1], [b""], [b"x", *chain]]))
    )
    result = match([*strange, *full], shown_peer)
    assert result.ok or result.text
    assert len(list(outcomes([*strange, *full], shown_peer))) == len(counting([*strange, *full]))


def _damaged(data: st.DataObject, der: bytes) -> bytes:
    changed = bytearray(der)
    for _ in range(data.draw(st.integers(0, 3))):
        position = data.draw(st.integers(0, len(changed) - 1))
        changed[position : position + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    return bytes(changed) or b"x"


def test_records_as_they_are_shown() -> None:
    digest = bytes.fromhex("91751cee0a1ab8414400238a761411daa29643ab4b8243e9a91649e25be53ada")
    assert shown(Tlsa(usage=3, selector=1, matching_type=1, data=digest)) == "TLSA 3 1 1 91751cee0a1ab841…e53ada"
    assert shown(Tlsa(usage=3, selector=1, matching_type=9, data=digest[:12])) == "TLSA 3 1 9 91751cee0a1ab8414400238a"
    assert discouraged(Tlsa(usage=1, selector=1, matching_type=1, data=digest)) == " (usage 1 is not recommended for SMTP)"
    assert discouraged(Tlsa(usage=2, selector=1, matching_type=1, data=digest)) == ""
