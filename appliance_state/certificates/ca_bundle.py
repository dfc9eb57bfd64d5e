"""The system list of certificate authorities: a dated set of roots that comes with the product (certconfig.md 5.4).

It is never the list of the operating system. One root that cannot be read does not disable the others.
"""

from __future__ import annotations

import functools

import certifi
from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from appliance_state.certificates.pem import NotReadable, certificate_blocks, load_der


@frozen(kw_only=True)
class SystemBundle:
    """`version`: numbers and periods, `2026.10.18`. `der`: the encodings, in the order of `certificates`."""

    version: str
    certificates: tuple[x509.Certificate, ...]
    der: tuple[bytes, ...]


def read_bundle(version: str, text: str) -> SystemBundle:
    """A bundle of the readable certificates of a PEM text, each once."""
    found: dict[bytes, x509.Certificate] = {}
    for block in certificate_blocks(text):
        try:
            certificate = load_der(block.octets())
        except NotReadable:
            continue
        found[certificate.public_bytes(Encoding.DER)] = certificate
    return SystemBundle(version=version, certificates=tuple(found.values()), der=tuple(found))


@functools.cache
def system_bundle() -> SystemBundle:
    """The bundle of this installation. It never changes while the product runs, so it is read once."""
    return read_bundle(certifi.__version__, certifi.contents())
