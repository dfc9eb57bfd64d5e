"""The system list of certificate authorities: a dated set of roots that comes with the product (certconfig.md 5.4, tls-tools.md 4).

It is never the list of the operating system. One root that cannot be read does not disable the others: it is skipped,
but counts as one of the file. Versions are numbers and periods, compared number by number.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from datetime import datetime
from itertools import zip_longest

import certifi
from attrs import frozen
from cryptography import x509

from appliance_state.certificates.chain import is_authority
from appliance_state.certificates.pem import NotReadable, certificate_blocks, decode, der_of, load_der

MAX_FILE = 16 * 1024 * 1024
VERSION = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9}){0,7}", re.ASCII)
_FILE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}", re.ASCII)
_SHA256 = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)

DAMAGED_MANIFEST = "the manifest is damaged"
WRONG_CHECKSUM = "the checksum does not match"
WRONG_COUNT = "the number of certificates does not match"
NO_AUTHORITY = "the file contains no CA certificate"
TOO_LARGE = "the file is larger than 16 MB"


class BundleProblem(Exception):
    """A bundle is not accepted; the text is the reason in the operator's words."""


@frozen(kw_only=True)
class SystemBundle:
    """`der`: the encodings, in the order of `certificates`. `text`: the file it was read from. `updated`: None = never."""

    version: str
    certificates: tuple[x509.Certificate, ...]
    der: tuple[bytes, ...]
    text: str = ""
    updated: datetime | None = None


def read_bundle(version: str, text: str, updated: datetime | None = None) -> SystemBundle:
    """A bundle of the readable certificates of a PEM text, each once."""
    found: dict[bytes, x509.Certificate] = {}
    for block in certificate_blocks(text):
        try:
            certificate = load_der(block.octets())
        except NotReadable:
            continue
        found[der_of(certificate)] = certificate
    return SystemBundle(version=version, certificates=tuple(found.values()), der=tuple(found), text=text, updated=updated)


@functools.cache
def packaged_bundle() -> SystemBundle:
    """The bundle that was installed with the product. It does not change while the product runs, so it is read once."""
    return read_bundle(certifi.__version__, certifi.contents())


def is_newer(version: str, than: str) -> bool:
    """Whether `version` is the later one, number by number: `2026.11.2` is later than `2026.9.30`, and not than `2026.11.2.0`."""
    pairs = zip_longest(map(int, version.split(".")), map(int, than.split(".")), fillvalue=0)
    return next((own > other for own, other in pairs if own != other), False)


@frozen(kw_only=True)
class Manifest:
    """What a server offers. `file`: name beside the manifest; `count`: certificates in it, readable or not."""

    version: str
    file: str
    sha256: str
    count: int


def read_manifest(data: bytes) -> Manifest:
    """Errors: BundleProblem."""
    try:
        fields = json.loads(data)
        manifest = Manifest(version=fields["version"], file=fields["file"], sha256=fields["sha256"], count=fields["count"])
        texts = ((VERSION, manifest.version), (_FILE_NAME, manifest.file), (_SHA256, manifest.sha256))
        sound = all(pattern.fullmatch(text) for pattern, text in texts) and type(manifest.count) is int and manifest.count >= 0
    except (ValueError, KeyError, TypeError, RecursionError):
        sound = False
    if not sound:
        raise BundleProblem(DAMAGED_MANIFEST)
    return manifest


def offered_bundle(manifest: Manifest, data: bytes, now: datetime) -> SystemBundle:
    """The file that a manifest names, as the bundle of `now`; CPU work, call it in a thread. Errors: BundleProblem."""
    if len(data) > MAX_FILE:
        raise BundleProblem(TOO_LARGE)
    if hashlib.sha256(data).hexdigest() != manifest.sha256.lower():
        raise BundleProblem(WRONG_CHECKSUM)
    text = decode(data)
    if len(certificate_blocks(text)) != manifest.count:
        raise BundleProblem(WRONG_COUNT)
    bundle = read_bundle(manifest.version, text, now)
    if not any(is_authority(certificate) for certificate in bundle.certificates):
        raise BundleProblem(NO_AUTHORITY)
    return bundle
