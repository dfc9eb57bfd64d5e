"""NIST PKITS, the public suite of certification paths, against the verification of peers (`make corpus`; docs/verification.md).

Every end-entity certificate of the suite is verified below its trust anchor, and the verdict compared with the one that the
suite demands, and with `openssl verify`. Sections about revocation lists and about certificate policies are not run: lists
come from the operator and not from the path, and a mail server has no policy to ask for.
"""

from __future__ import annotations

import re
import subprocess
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.utils import CryptographyDeprecationWarning

from appliance_runtime.delivery.verify import Kind, Reference, Rules, TrustAnchors, verify

vectors = pytest.importorskip("cryptography_vectors", reason="make corpus installs it")
pytestmark = pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")

FOLDER = Path(vectors.__file__).parent / "x509" / "PKITS_data" / "certs"
NOW = datetime(2011, 4, 15, tzinfo=UTC)
"""within the validity of the suite"""

REVOCATION = re.compile(
    r"CRL|Revoked|IDP|distributionPoint|onlySomeReasons|onlyContains|SerialNumberTest1[58]|SelfIssued(New|Old)With|cRLIssuer|cRLSign|LongSerialNumber"
)
POLICY = re.compile(r"Polic|inhibitAny|requireExplicit|MappingFrom|MappingTo|CPSPointer|UserNotice")
UNREADABLE = {"ValidDSAParameterInheritanceTest5EE": "its key leaves out the parameters of DSA, and is refused as unreadable"}


@frozen(kw_only=True)
class Found:
    der: bytes
    subject: str
    issuer: str


def _name(name: x509.Name) -> str:
    """Names that RFC 5280 7.1 takes for the same, and more: what is too much in a chain does no harm."""
    return re.sub(r"[\\\s]+", "", name.rfc4514_string().casefold())


def _read() -> dict[str, Found]:
    found: dict[str, Found] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        for path in sorted(FOLDER.glob("*.crt")):
            der = path.read_bytes()
            try:
                certificate = x509.load_der_x509_certificate(der)
                found[path.stem] = Found(der=der, subject=_name(certificate.subject), issuer=_name(certificate.issuer))
            except ValueError:
                found[path.stem] = Found(der=der, subject="", issuer="")
    return found


CERTIFICATES = _read()
ANCHOR = CERTIFICATES["TrustAnchorRootCertificate"]
CASES = [name for name in CERTIFICATES if re.search(r"Test\d+(EE)?$", name) and not REVOCATION.search(name) and not POLICY.search(name)]


def path_of(name: str) -> list[bytes]:
    """What a peer with this certificate would send: every certificate that may lead to the anchor."""
    certificate = CERTIFICATES[name]
    chain, wanted = [certificate.der], [certificate.issuer]
    while wanted:
        issuer = wanted.pop()
        for other in CERTIFICATES.values():
            if other.subject == issuer and other.der != ANCHOR.der and other.der not in chain:
                chain.append(other.der)
                wanted.append(other.issuer)
    return chain


def verdict(name: str) -> str:
    """Text of the refusal; empty = verified. Names are not compared: the suite has none of hosts."""
    result = verify(path_of(name), TrustAnchors([ANCHOR.der]), Rules(hosted=False), [Reference(Kind.DOMAIN, "host.test")], NOW)
    return "" if result.path else result.text


@pytest.mark.parametrize("name", CASES)
def test_path(name: str) -> None:
    refused = verdict(name)
    if name in UNREADABLE:
        assert refused == "the certificate cannot be read"
    else:
        assert name.startswith(("Valid", "Invalid"))
        assert bool(refused) == name.startswith("Invalid"), refused


def _pem(certificates: list[bytes]) -> Iterator[bytes]:
    for der in certificates:
        yield x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)


def test_openssl_agrees(tmp_path: Path) -> None:
    """The suite again, with the program that everybody knows."""
    (tmp_path / "anchor.pem").write_bytes(b"".join(_pem([ANCHOR.der])))
    different = []
    for name in CASES:
        if name in UNREADABLE:
            continue
        leaf, *rest = path_of(name)
        (tmp_path / "leaf.pem").write_bytes(b"".join(_pem([leaf])))
        (tmp_path / "rest.pem").write_bytes(b"".join(_pem(rest)))
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
        rest_option = ["-untrusted", "rest.pem"] if rest else []
        done = subprocess.run(
            [*command, "-CAfile", "anchor.pem", *rest_option, "leaf.pem"], cwd=tmp_path, capture_output=True, timeout=20, check=False
        )
        if (done.returncode == 0) != (not verdict(name)):
            different.append((name, verdict(name), done.stderr.decode()))
    assert different == []


def test_the_suite_is_there() -> None:
    assert (len(CASES), sum(name.startswith("Invalid") for name in CASES)) == (87, 45)
