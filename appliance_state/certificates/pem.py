"""PEM texts (RFC 7468): blocks with any text around them, and certificates out of them.

Certificates are kept as one block each, with lines of 64 characters, whatever they looked like when they came.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import re
import warnings

from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives import serialization

_MARK = re.compile(r"-----(BEGIN|END) ([A-Z0-9 ]{1,40})-----")
CERTIFICATE_LABELS = ("CERTIFICATE", "X509 CERTIFICATE")


class NotReadable(Exception):
    """The text or the octets are not what they should be."""


@frozen
class Block:
    label: str
    body: str | None
    """headers and base64 text, as they came; None = the block does not end"""

    def octets(self) -> bytes:
        """Errors: NotReadable."""
        if self.body is None:
            raise NotReadable
        try:
            return base64.b64decode("".join(self.body.split()), validate=True)
        except (binascii.Error, ValueError):
            raise NotReadable from None


def blocks(text: str) -> list[Block]:
    """All PEM blocks, in their order."""
    found: list[Block] = []
    marks = [*_MARK.finditer(text), None]
    for mark, following in itertools.pairwise(marks):
        if mark is not None and mark[1] == "BEGIN":
            ends = following is not None and following[1] == "END" and following[2] == mark[2]
            found.append(Block(mark[2], text[mark.end() : following.start()] if ends and following else None))
    return found


def certificate_blocks(text: str) -> list[Block]:
    return [block for block in blocks(text) if block.label in CERTIFICATE_LABELS]


def looks_like_pem(data: bytes) -> bool:
    return b"-----BEGIN " in data


def decode(data: bytes) -> str:
    """A file as text. PEM is ASCII; what stands around it may be UTF-8 or Latin-1 and does not matter."""
    return data.decode("latin-1")


def load_der(data: bytes) -> x509.Certificate:
    """Errors: NotReadable. Serial numbers that RFC 5280 forbids, as old roots have them, are accepted in silence."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            certificate = x509.load_der_x509_certificate(data)
            # Read now what everything else relies on.
            _ = certificate.not_valid_before_utc, certificate.not_valid_after_utc, certificate.tbs_certificate_bytes
        except (ValueError, TypeError, OverflowError, x509.InvalidVersion):
            raise NotReadable from None
    return certificate


def read_certificates(text: str) -> list[x509.Certificate]:
    """The certificates of a PEM text, at least one. Errors: NotReadable when there is none or one is damaged."""
    found = [load_der(block.octets()) for block in certificate_blocks(text)]
    if not found:
        raise NotReadable
    return found


def read_certificate(text: str) -> x509.Certificate:
    """The first certificate of a PEM text. Errors: NotReadable."""
    return read_certificates(text)[0]


def certificate_pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")


def der_of(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


def request_pem(request: x509.CertificateSigningRequest) -> str:
    return request.public_bytes(serialization.Encoding.PEM).decode("ascii")
