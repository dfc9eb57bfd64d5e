"""Names, chains, optional checks and the identity rule (delivery.md 5), against certificates of the lab CA."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from appliance_runtime.delivery.peer_names import PresentedNames, matches
from appliance_runtime.delivery.verify import Kind, Reference, Result, Rules, TrustAnchors, identify, verify
from asyncos_shell.lab.authority import Authority, Identity, rsa_root, self_signed

NOW = datetime(2026, 3, 6, 9, 0, tzinfo=UTC)
LEVEL_5, LEVEL_6 = Rules(hosted=False), Rules(hosted=True)


class World(NamedTuple):
    root: Authority
    intermediate: Authority
    rsa: Authority
    anchors: TrustAnchors


@pytest.fixture(scope="module")
def world() -> World:
    root = Authority.root("Lab Root CA", NOW)
    rsa = rsa_root("Lab RSA Root CA", NOW)
    return World(root, root.intermediate("Lab Intermediate CA", NOW), rsa, TrustAnchors([root.der, rsa.der, b"no certificate"]))


def references(ptr: str | None = None, route: str | None = None, host: str = "mx1.d.test", domain: str = "d.test") -> list[Reference]:
    known = [Reference(Kind.DOMAIN, domain), Reference(Kind.HOST, host)]
    known += [Reference(Kind.PTR, ptr)] if ptr else []
    return known + ([Reference(Kind.ROUTE, route)] if route else [])


def check(
    identity: Identity, anchors: TrustAnchors, rules: Rules = LEVEL_5, now: datetime = NOW, known: list[Reference] | None = None
) -> Result:
    return verify(identity.der, anchors, rules, known or references(), now)


@pytest.mark.parametrize(
    ("presented", "reference", "expected"),
    [
        ("d.test", "D.Test.", True),
        ("*.d.test", "sub.d.test", True),
        ("*.d.test", "d.test", False),
        ("*.d.test", "a.b.d.test", False),
        ("*.test", "d.test", False),
        ("f*.test", "foo.test", True),
        ("f*.test", "bar.test", False),
        ("*", "test", False),
        ("mx.*.test", "mx.d.test", False),
        ("*.*.test", "a.b.test", False),
        ("m*x.d.test", "mailx.d.test", True),
        ("m*x.d.test", "x.d.test", False),
        ("mm*mm.d.test", "mmm.d.test", False),
        ("m**x.d.test", "mailx.d.test", False),
        ("xn--e1afmkfd.test", "пример.test", True),
        ("пример.test", "пример.test", False),
        ("d.test\0.evil.test", "d.test", False),
        ("d .test", "d .test", False),
        ("d..test", "d..test", False),
        ("", "", False),
        ("127.0.10.11", "127.0.10.11", False),
        ("*.0.10.11", "127.0.10.11", False),
    ],
)
def test_name_matching(presented: str, reference: str, expected: bool) -> None:
    assert matches(presented, reference) is expected


# Rule of delivery.md 5.2: what is presented, level 4 and 5, level 6.
IDENTITIES = [
    (PresentedNames(common_name="zzz.test", dns_names=("d.test",)), True, True),
    (PresentedNames(common_name="mx1.d.test", dns_names=()), True, True),
    (PresentedNames(common_name="d.test", dns_names=()), True, True),
    (PresentedNames(common_name="ptr.test", dns_names=()), True, False),
    (PresentedNames(common_name="zzz.test", dns_names=("mx1.d.test",)), False, True),
    (PresentedNames(common_name="mx1.d.test", dns_names=("other.test",)), True, False),
    (PresentedNames(common_name="zzz.test", dns_names=("relay.test",)), False, True),
    (PresentedNames(common_name="relay.test", dns_names=()), False, True),
    (PresentedNames(common_name="zzz.test", dns_names=("*.d.test",)), False, True),
    (PresentedNames(common_name="other.test", dns_names=("other.test",)), False, False),
    (PresentedNames(common_name=None, dns_names=()), False, False),
]


@pytest.mark.parametrize(("names", "five", "six"), IDENTITIES)
def test_identity_rule(names: PresentedNames, five: bool, six: bool) -> None:
    assert identify(names, LEVEL_5, references(ptr="ptr.test")).ok is five
    assert identify(names, LEVEL_6, references(route="relay.test")).ok is six


def test_what_matched_is_named() -> None:
    result = identify(PresentedNames(common_name="ptr.test", dns_names=("x.test",)), LEVEL_5, references(ptr="ptr.test"))
    assert (result.presented, result.reference) == ("commonName ptr.test", "ptr.test (host name of the address)")
    routed = [Reference(Kind.DOMAIN, "d.test"), Reference(Kind.HOST, "relay.test", "SMTP route host")]
    result = identify(PresentedNames(common_name=None, dns_names=("relay.test",)), LEVEL_6, routed)
    assert (result.presented, result.reference) == ("dNSName relay.test", "relay.test (SMTP route host)")


def test_mismatch_text_shows_five_names_once_each() -> None:
    names = PresentedNames(common_name="a.test", dns_names=tuple(f"{n}.test" for n in range(6)))
    result = identify(names, LEVEL_5, references(ptr="mx1.d.test"))
    assert result.text == (
        "hostname mismatch (expected d.test, mx1.d.test; presented CN=a.test, dNSName=0.test, dNSName=1.test, "
        "dNSName=2.test, dNSName=3.test, …)"
    )
    assert result.short == "hostname mismatch"


def test_an_address_is_no_reference() -> None:
    result = identify(PresentedNames(common_name="x.test", dns_names=()), LEVEL_5, references(host="127.0.10.11"))
    assert result.text == "hostname mismatch (expected d.test; presented CN=x.test)"


def test_chain_through_an_intermediate(world: World) -> None:
    result = check(world.intermediate.issue(NOW, common_name="mx1.d.test", dns_names=["d.test"]), world.anchors)
    assert (result.ok, result.presented, result.reference) == (True, "dNSName d.test", "d.test (destination domain)")


def test_order_of_the_chain_does_not_count(world: World) -> None:
    deeper = world.intermediate.intermediate("Lab Deep CA", NOW)
    leaf, *chain = deeper.issue(NOW, dns_names=["d.test"]).der
    assert verify([leaf, *reversed(chain)], world.anchors, LEVEL_5, references(), NOW).ok


@pytest.mark.parametrize("rules", [LEVEL_5, LEVEL_6])
def test_missing_intermediate(world: World, rules: Rules) -> None:
    identity = world.intermediate.issue(NOW, dns_names=["d.test"], send_chain=False)
    expected = "unable to get local issuer certificate (issuer: CN=Lab Intermediate CA)"
    assert check(identity, world.anchors, rules).text == expected


def test_self_signed(world: World) -> None:
    assert check(self_signed(NOW, common_name="d.test"), world.anchors).text == "self-signed certificate (CN=d.test)"


def test_unknown_root(world: World) -> None:
    other = Authority.root("Other Root CA", NOW)
    identity = other.issue(NOW, common_name="d.test")
    assert check(identity, world.anchors).text == "unable to get local issuer certificate (issuer: CN=Other Root CA)"
    with_root = Identity(certificate=identity.certificate, key=identity.key, chain=(other.certificate,))
    expected = "self-signed certificate in certificate chain (CN=Other Root CA)"
    assert check(with_root, world.anchors).text == expected


def test_no_anchors_at_all(world: World) -> None:
    assert not check(world.root.issue(NOW, dns_names=["d.test"]), TrustAnchors([])).ok


def test_validity_follows_the_clock_given(world: World) -> None:
    identity = world.root.issue(NOW, common_name="d.test", days=90)
    assert check(identity, world.anchors).ok
    assert check(identity, world.anchors, now=NOW + timedelta(days=91)).text == "certificate has expired (CN=d.test)"
    assert check(identity, world.anchors, now=NOW - timedelta(hours=2)).text == "certificate is not yet valid (CN=d.test)"


def test_bad_signature_of_the_intermediate(world: World) -> None:
    identity = world.intermediate.with_broken_signature().issue(NOW, dns_names=["d.test"])
    assert check(identity, world.anchors).text == "certificate signature failure (CN=Lab Intermediate CA)"


def test_issuer_that_is_no_ca(world: World) -> None:
    identity = world.root.intermediate("Not A CA", NOW, ca=False).issue(NOW, dns_names=["d.test"])
    assert check(identity, world.anchors).text == "invalid CA certificate (CN=Not A CA)"


def test_extended_key_usage_without_server(world: World) -> None:
    identity = world.root.issue(NOW, common_name="d.test", usages=[ExtendedKeyUsageOID.CLIENT_AUTH])
    assert check(identity, world.anchors).text == "unsuitable certificate purpose (CN=d.test)"
    assert check(world.root.issue(NOW, common_name="d.test", usages=[]), world.anchors).ok


def test_every_listed_certificate_is_an_anchor(world: World) -> None:
    """An intermediate in the list ends the path; a self-signed server certificate in the list is its own path."""
    identity = world.intermediate.issue(NOW, dns_names=["d.test"], send_chain=False)
    assert check(identity, TrustAnchors([world.intermediate.der])).ok
    own = self_signed(NOW, common_name="d.test")
    assert check(own, TrustAnchors(own.der)).ok


def test_weak_keys_and_sha1_pass_unless_checked(world: World) -> None:
    weak = world.root.issue(NOW, common_name="d.test", rsa_bits=1024)
    assert check(weak, world.anchors).ok
    old = world.rsa.issue(NOW, common_name="mx1.d.test", sha1=True)
    assert check(old, world.anchors).ok
    checked = check(old, world.anchors, Rules(hosted=False, x509_check=True))
    assert checked.text == "signature algorithm sha1WithRSAEncryption is not allowed (CN=mx1.d.test)"
    assert check(weak, world.anchors, Rules(hosted=False, x509_check=True)).ok


@pytest.mark.parametrize(
    ("common_name", "dns_names", "text"),
    [
        ("mailhost", ["d.test"], 'name "mailhost" is not a fully qualified domain name (commonName)'),
        (None, ["d.test", "mailhost"], 'name "mailhost" is not a fully qualified domain name (dNSName)'),
        (None, ["d.test", "*.d.test"], ""),
        ("mx1.d.test", ["d.test", "127.0.10.11"], ""),
    ],
)
def test_fqdn_check(world: World, common_name: str | None, dns_names: list[str], text: str) -> None:
    identity = world.root.issue(NOW, common_name=common_name, dns_names=dns_names)
    assert check(identity, world.anchors).ok
    assert check(identity, world.anchors, Rules(hosted=False, fqdn_check=True)).text == text


def test_chain_that_is_too_long(world: World) -> None:
    identity = world.intermediate.issue(NOW, dns_names=["d.test"])
    padding = [world.intermediate.der] * 18
    assert verify([*identity.der, *padding], world.anchors, LEVEL_5, references(), NOW).ok
    result = verify([*identity.der, *padding, world.intermediate.der], world.anchors, LEVEL_5, references(), NOW)
    assert result.text == "certificate chain too long"


def test_garbage_is_a_failed_verification(world: World) -> None:
    for chain in ([], [b""], [b"garbage"]):
        assert not verify(chain, world.anchors, LEVEL_5, references(), NOW).ok


def test_foreign_text_is_escaped(world: World) -> None:
    identity = world.root.issue(NOW, common_name="a\r\nb\x00c")
    result = check(identity, world.anchors)
    assert result.text == r"hostname mismatch (expected d.test, mx1.d.test; presented CN=a\x0d\x0ab\x00c)"
