"""Names inside certificates: distinguished names and alternative names, read from the encoding itself.

Reading never fails for a certificate that could be parsed: a value that is damaged is shown as far as it goes, and
what cannot be read at all is as if it were absent. Source: certconfig.md 3.2 (form of a subject), RFC 5280 4.1.2.4, 4.2.1.6.
"""

from __future__ import annotations

import ipaddress
import re

from attrs import frozen
from cryptography import x509

from appliance_state.certificates.der import BOOLEAN, OCTET_STRING, Element, dotted, only

NO_SUBJECT = "(no subject)"
LONGEST_VALUE = 1024
COMMON_NAME, ORGANIZATION = "CN", "O"

_TYPES = {
    "2.5.4.6": "C",
    "2.5.4.8": "ST",
    "2.5.4.7": "L",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "2.5.4.3": "CN",
    "0.9.2342.19200300.100.1.25": "DC",
    "1.2.840.113549.1.9.1": "emailAddress",
    "2.5.4.5": "serialNumber",
}
_SUBJECT_ALT_NAME = "2.5.29.17"
_BASIC_CONSTRAINTS = "2.5.29.19"
_UTF8 = 0x0C
_TEXTS = {_UTF8: "utf-8", 0x12: "ascii", 0x13: "ascii", 0x14: "latin-1", 0x16: "ascii", 0x1A: "ascii", 0x1B: "ascii"}
_WIDE_TEXTS = {0x1C: "utf-32-be", 0x1E: "utf-16-be"}
_VERSION, _EXTENSIONS = 0xA0, 0xA3
_OTHER_NAMES = {0x81: "email", 0x86: "URI"}
_DNS_NAME, _IP_ADDRESS = 0x82, 0x87
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]| $")
"""Control characters, those that change the direction of text or cannot be seen, and a blank at the end: with `>` before it,
a name would look like a prompt.
"""


def _code(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:  # a single byte, PEP 383
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def shown(value: str) -> str:
    """A foreign value as one safe piece of a line (logs-and-alerts.md 1, rule 6)."""
    if len(value) > LONGEST_VALUE:
        value = f"{value[:LONGEST_VALUE]}..."
    return _UNSAFE.sub(_code, value)


@frozen(kw_only=True)
class CertificateNames:
    """`subject`, `issuer`: (type, value) in the order of the certificate, types as in `O` or as a dotted identifier.

    `other_names`: alternative names that are no DNS names, each with its kind: `IP:192.0.2.1`.
    """

    subject: tuple[tuple[str, str], ...] = ()
    issuer: tuple[tuple[str, str], ...] = ()
    subject_der: bytes = b""
    issuer_der: bytes = b""
    dns_names: tuple[str, ...] = ()
    other_names: tuple[str, ...] = ()
    serial: int = 0
    authority: bool = False
    """the CA flag of the basic constraints"""

    @property
    def common_names(self) -> tuple[str, ...]:
        return tuple(value for kind, value in self.subject if kind == COMMON_NAME and value)


def names_of(certificate: x509.Certificate) -> CertificateNames:
    try:
        fields = only(certificate.tbs_certificate_bytes).children()
        if fields and fields[0].tag == _VERSION:
            del fields[0]
        serial, issuer, subject = fields[0].integer(), fields[2], fields[4]
    except (ValueError, IndexError):
        return CertificateNames()
    extensions = _extensions(fields[5:])
    dns_names, other_names = _alternative_names(extensions.get(_SUBJECT_ALT_NAME))
    return CertificateNames(
        subject=attributes_of(subject),
        issuer=attributes_of(issuer),
        subject_der=subject.content,
        issuer_der=issuer.content,
        dns_names=dns_names,
        other_names=other_names,
        serial=serial,
        authority=_authority(extensions.get(_BASIC_CONSTRAINTS)),
    )


def name_text(attributes: tuple[tuple[str, str], ...]) -> str:
    """`C=JP,O=Lab,CN=Lab Issuing CA`: one line, values not escaped but for what would break the line."""
    return shown(",".join(f"{kind}={value}" for kind, value in attributes)) or NO_SUBJECT


def value_of(attributes: tuple[tuple[str, str], ...], kind: str) -> str:
    """The last value of that type, which is the most specific one; "" = none."""
    return next((value for found, value in reversed(attributes) if found == kind and value), "")


def attributes_of(name: Element) -> tuple[tuple[str, str], ...]:
    """(type, value) of a distinguished name, as far as they can be read."""
    found: list[tuple[str, str]] = []
    try:
        for relative in name.children():
            for attribute in relative.children():
                kind, value = attribute.children()[:2]
                identifier = dotted(kind.content)
                found.append((_TYPES.get(identifier, identifier), _text(value)))
    except ValueError:
        return tuple(found)
    return tuple(found)


def _text(value: Element) -> str:
    if value.tag in _TEXTS:
        return value.content.decode(_TEXTS[value.tag], "surrogateescape")
    if value.tag in _WIDE_TEXTS:
        return value.content.decode(_WIDE_TEXTS[value.tag], "replace")
    return f"#{value.content.hex()}"


def _extensions(fields: list[Element]) -> dict[str, bytes]:
    """Values by identifier; of an extension that stands there twice the first one."""
    found: dict[str, bytes] = {}
    try:
        for holder in fields:
            if holder.tag == _EXTENSIONS:
                for extension in only(holder.content).children():
                    identifier, *_, value = extension.children()
                    if value.tag == OCTET_STRING:
                        found.setdefault(dotted(identifier.content), value.content)
    except ValueError:
        return found
    return found


def _alternative_names(extension: bytes | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    dns_names: list[str] = []
    other_names: list[str] = []
    try:
        for name in only(extension).children() if extension is not None else ():
            content = name.content
            if name.tag == _DNS_NAME:
                dns_names.append(content.decode("ascii", "surrogateescape"))
            elif name.tag == _IP_ADDRESS:
                other_names.append(f"IP:{ipaddress.ip_address(content)}" if len(content) in (4, 16) else f"IP:{content.hex()}")
            elif name.tag in _OTHER_NAMES:
                other_names.append(f"{_OTHER_NAMES[name.tag]}:{content.decode('ascii', 'surrogateescape')}")
    except ValueError:
        pass
    return tuple(dns_names), tuple(other_names)


def _authority(extension: bytes | None) -> bool:
    try:
        parts = only(extension).children() if extension is not None else []
    except ValueError:
        return False
    return bool(parts) and parts[0].tag == BOOLEAN and parts[0].content not in (b"", b"\0")
