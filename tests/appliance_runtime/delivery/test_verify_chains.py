"""Chains that must be refused, and their good neighbours, each judged by `openssl verify` too (delivery.md 5.1; docs/verification.md)."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from attrs import evolve, frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID as Usage
from cryptography.x509.oid import NameOID, ObjectIdentifier

from appliance_runtime.delivery import authentication
from appliance_runtime.delivery.authentication import Authentication
from appliance_runtime.delivery.target import Target
from appliance_runtime.delivery.verify import Kind, Reference, Rules, TrustAnchors, verify
from appliance_runtime.snapshot import Snapshot
from appliance_runtime.tls import client_context
from appliance_state.model import Config
from appliance_state.model.destinations import TlsSupport

NOW = datetime(2026, 3, 6, 9, 0, tzinfo=UTC)
HOST = "mx1.d.test"
CA = x509.BasicConstraints(ca=True, path_length=None)
NO_KEYS = dict.fromkeys(
    ["digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign",
     "encipher_only", "decipher_only"],
    False,
)  # fmt: skip


def keys(**allowed: bool) -> x509.KeyUsage:
    return x509.KeyUsage(**{**NO_KEYS, **allowed})


@frozen(kw_only=True)
class Link:
    """A certificate of a chain. `extensions`: with their criticality."""

    name: str
    extensions: tuple[tuple[x509.ExtensionType, bool], ...] = ()
    starts: timedelta = timedelta(days=-1)
    days: int = 365
    issuer: str | None = None
    """another name than that of the link above"""


def link(name: str, *extensions: x509.ExtensionType, critical: bool = True) -> Link:
    return Link(name=name, extensions=tuple((one, critical) for one in extensions))


ROOT = link("Root", CA)
LEAF = link(HOST, x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)


def chain(*links: Link) -> list[bytes]:
    """Certificates from the leaf to the root; `links` from the root to the leaf."""
    found: list[bytes] = []
    above: tuple[str, ec.EllipticCurvePrivateKey] | None = None
    for one in links:
        key = ec.generate_private_key(ec.SECP256R1())
        issuer, signer = above or (one.name, key)
        builder = x509.CertificateBuilder(
            _name(one.issuer or issuer), _name(one.name), key.public_key(), x509.random_serial_number(), NOW + one.starts,
            NOW + one.starts + timedelta(days=one.days),
        )  # fmt: skip
        for extension, critical in one.extensions:
            builder = builder.add_extension(extension, critical)
        found.insert(0, builder.sign(signer, hashes.SHA256()).public_bytes(Encoding.DER))
        above = one.name, key
    return found


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def depth(intermediates: int) -> Sequence[Link]:
    return [ROOT, *(link(f"CA {number}", CA) for number in range(intermediates)), LEAF]


def constrained(**subtrees: list[x509.GeneralName]) -> Link:
    known: dict[str, list[x509.GeneralName] | None] = {"permitted_subtrees": None, "excluded_subtrees": None}
    return link("Int", CA, x509.NameConstraints(**{**known, **subtrees}))


def under(intermediate: Link, leaf: Link = LEAF) -> Sequence[Link]:
    return [ROOT, intermediate, leaf]


UNKNOWN = x509.UnrecognizedExtension(ObjectIdentifier("1.3.6.1.4.1.55555.1"), b"\x05\x00")
NAMED = LEAF.extensions[0]

# links from the root to the leaf; text of the refusal, empty = verified
CASES: dict[str, tuple[Sequence[Link], str]] = {
    "plain": (under(link("Int", CA)), ""),
    # extended key usage
    "usage for servers": (
        under(link("Int", CA), evolve(LEAF, extensions=(NAMED, (x509.ExtendedKeyUsage([Usage.SERVER_AUTH]), False)))),
        "",
    ),
    "usage for clients": (
        under(link("Int", CA), evolve(LEAF, extensions=(NAMED, (x509.ExtendedKeyUsage([Usage.CLIENT_AUTH]), False)))),
        "unsuitable certificate purpose (CN=mx1.d.test)",
    ),
    "usage of the issuer for servers": (under(link("Int", CA, x509.ExtendedKeyUsage([Usage.SERVER_AUTH, Usage.CLIENT_AUTH]))), ""),
    "usage of the issuer for mail": (
        under(link("Int", CA, x509.ExtendedKeyUsage([Usage.EMAIL_PROTECTION]))),
        "unsuitable certificate purpose (CN=Int)",
    ),
    # key usage
    "key that signs": (
        under(link("Int", CA, keys(key_cert_sign=True)), evolve(LEAF, extensions=(NAMED, (keys(digital_signature=True), True)))),
        "",
    ),
    "issuer whose key may not sign": (under(link("Int", CA, keys(crl_sign=True))), "invalid CA certificate (CN=Int)"),
    "key that only signs lists": (
        under(link("Int", CA), evolve(LEAF, extensions=(NAMED, (keys(crl_sign=True), True)))),
        "unsuitable certificate purpose (CN=mx1.d.test)",
    ),
    # basic constraints and path length
    "issuer that is none": (under(link("Int", x509.BasicConstraints(ca=False, path_length=None))), "invalid CA certificate (CN=Int)"),
    "issuer without constraints": (under(link("Int")), "invalid CA certificate (CN=Int)"),
    "path length kept": (under(link("Int", x509.BasicConstraints(ca=True, path_length=0))), ""),
    "path length exceeded": (
        [ROOT, link("Int", x509.BasicConstraints(ca=True, path_length=0)), link("Sub", CA), LEAF],
        "path length constraint exceeded (CN=Int)",
    ),
    "path length of the root exceeded": (
        [link("Root", x509.BasicConstraints(ca=True, path_length=0)), link("Int", CA), LEAF],
        "path length constraint exceeded (CN=Root)",
    ),
    # name constraints
    "permitted name": (under(constrained(permitted_subtrees=[x509.DNSName("d.test")])), ""),
    "name that is not permitted": (
        under(constrained(permitted_subtrees=[x509.DNSName("e.test")])),
        "permitted subtree violation (CN=mx1.d.test)",
    ),
    "excluded name": (under(constrained(excluded_subtrees=[x509.DNSName("d.test")])), "excluded subtree violation (CN=mx1.d.test)"),
    "common name that is not permitted": (
        under(constrained(permitted_subtrees=[x509.DNSName("e.test")]), link(HOST)),
        "permitted subtree violation (CN=mx1.d.test)",
    ),
    # extensions, times, names of issuers
    "unknown extension": (under(link("Int", CA), evolve(LEAF, extensions=(NAMED, (UNKNOWN, False)))), ""),
    "unknown critical extension": (
        under(link("Int", CA), evolve(LEAF, extensions=(NAMED, (UNKNOWN, True)))),
        "unhandled critical extension (CN=mx1.d.test)",
    ),
    "unknown critical extension of the issuer": (
        under(evolve(link("Int", CA), extensions=((CA, True), (UNKNOWN, True)))),
        "unhandled critical extension (CN=Int)",
    ),
    "issuer that has expired": (under(evolve(link("Int", CA), starts=timedelta(days=-3), days=1)), "certificate has expired (CN=Int)"),
    "issuer of tomorrow": (under(evolve(link("Int", CA), starts=timedelta(days=1))), "certificate is not yet valid (CN=Int)"),
    "root that has expired": ([evolve(ROOT, starts=timedelta(days=-3), days=1), LEAF], "certificate has expired (CN=Root)"),
    "another issuer": (
        under(link("Int", CA), evolve(LEAF, issuer="Elsewhere")),
        "unable to get local issuer certificate (issuer: CN=Elsewhere)",
    ),
    # depth
    "nineteen certificates": (depth(17), ""),
    "twenty certificates": (depth(18), ""),
}
OTHERWISE = {"key that only signs lists"}
"""OpenSSL's program takes no notice of these"""


def judge(certificates: Sequence[bytes]) -> str:
    anchors = TrustAnchors([certificates[-1]])
    return verify(certificates, anchors, Rules(hosted=True), [Reference(Kind.HOST, HOST)], NOW).text


@pytest.mark.parametrize("name", CASES)
def test_chain(name: str, tmp_path: Path) -> None:
    links, expected = CASES[name]
    certificates = chain(*links)
    assert judge(certificates) == expected
    assert (name in OTHERWISE) or _openssl(certificates, tmp_path) == (not expected)


def _openssl(certificates: Sequence[bytes], folder: Path) -> bool:
    def write(file: str, *ders: bytes) -> str:
        pem = b"".join(x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM) for der in ders)
        (folder / file).write_bytes(pem)
        return str(folder / file)

    leaf, *rest, anchor = certificates
    command = [
        "openssl",
        "verify",
        "-no-CApath",
        "-no-CAstore",
        "-partial_chain",
        "-purpose",
        "sslserver",
        "-attime",
        str(int(NOW.timestamp())),
    ]
    command += [
        "-CAfile",
        write("anchor.pem", anchor),
        *(["-untrusted", write("rest.pem", *rest)] if rest else []),
        write("leaf.pem", leaf),
    ]
    return subprocess.run(command, capture_output=True, timeout=20, check=False).returncode == 0


def test_more_than_twenty_certificates_are_not_read() -> None:
    assert judge(chain(*depth(19))) == "certificate chain too long"


@pytest.mark.parametrize("order", [lambda rest: rest, lambda rest: rest[::-1], lambda rest: [rest[0], *rest, rest[-1]]])
def test_intermediates_in_any_order(order: Callable[[list[bytes]], list[bytes]]) -> None:
    leaf, *rest, root = chain(*depth(5))
    result = verify([leaf, *order(rest)], TrustAnchors([root]), Rules(hosted=True), [Reference(Kind.HOST, HOST)], NOW)
    assert result.ok and result.path == (leaf, *rest, root)


async def test_verification_ends_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authentication, "SECONDS", 0.0)
    leaf, *rest, root = chain(*depth(5))
    config = Config()
    snapshot = Snapshot(
        generation=1, config=config, receiving={}, inbound_contexts={}, gui_contexts={}, anchors=(root,),
        outbound_context=client_context(None, methods=config.ssl.outbound_methods, ciphers=config.ssl.outbound_ciphers),
    )  # fmt: skip

    async def nobody(address: str) -> None:
        return None

    checks = Authentication(now=lambda: NOW, anchors=lambda _: TrustAnchors([root]), ptr=nobody)
    target = Target(
        domain="d.test",
        host=HOST,
        address="192.0.2.1",
        port=25,
        real=("127.0.0.1", 1),
        support=TlsSupport.REQUIRED_VERIFY,
        snapshot=snapshot,
    )
    assert (await checks.verified(target, [leaf, *rest])).text == "verification took too long"
    assert (await checks.matched(target, [leaf, *rest])).text.endswith("verification took too long")
    checks.shut_down()
