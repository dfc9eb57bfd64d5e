"""Names in certificates, and whether one matches a name that was expected (delivery.md 5.3). Pure.

Comparison is without regard to case and trailing dot, in A-label form. A presented name may hold one `*`, in its left-most
label: alone it stands for exactly one label and wants two more to its right, inside a label for any run of characters.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache

from attrs import frozen
from cryptography import x509
from cryptography.x509.oid import ExtensionOID, NameOID

from appliance_runtime.logs.escaping import escape


@frozen(kw_only=True)
class PresentedNames:
    """Names of a server certificate."""

    common_name: str | None
    """last commonName of the subject"""
    dns_names: tuple[str, ...]


def presented_names(certificate: x509.Certificate) -> PresentedNames:
    """Errors: ValueError for extensions that cannot be read."""
    commons = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    try:
        extension = certificate.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
        names = extension.get_values_for_type(x509.DNSName) if isinstance(extension, x509.SubjectAlternativeName) else []
    except x509.ExtensionNotFound:
        names = []
    return PresentedNames(common_name=_text(commons[-1].value) if commons else None, dns_names=tuple(names))


def subject_label(name: x509.Name) -> str:
    """`CN=mx1.d.test`; the whole name when it has no common name."""
    commons = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return escape(f"CN={_text(commons[-1].value)}" if commons else name.rfc4514_string() or "no name")


@lru_cache(4096)
def is_address(name: str) -> bool:
    """Asked for the host of every route and every connection."""
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def matches(presented: str, reference: str) -> bool:
    """Whether a presented name stands for the name that was expected."""
    left, right = _labels(presented), _labels(_a_labels(reference))
    if left is None or right is None or len(left) != len(right) or is_address(reference) or is_address(presented):
        return False
    if left[1:] != right[1:] or "*" in "".join(left[1:]) or "*" in "".join(right):
        return False
    first, wanted = left[0], right[0]
    if "*" not in first:
        return first == wanted
    if first == "*":
        return len(left) >= 3
    head, _, tail = first.partition("*")
    return "*" not in tail and len(wanted) >= len(head) + len(tail) and wanted.startswith(head) and wanted.endswith(tail)


def _a_labels(name: str) -> str:
    """A name as it stands in DNS and in certificates."""
    try:
        return name if name.isascii() else name.encode("idna").decode("ascii")
    except UnicodeError:
        return name


def _labels(name: str) -> list[str] | None:
    """None = no name that could match anything."""
    labels = name.removesuffix(".").lower().split(".")
    return labels if all(labels) and all("!" <= letter <= "~" for letter in name) else None


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "surrogateescape")
