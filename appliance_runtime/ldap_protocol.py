"""LDAPv3 messages (RFC 4511) as far as a test of a server needs them: simple bind, read of one entry, unbind.

The encoding is the part of BER that LDAP allows (RFC 4511 5.1): definite lengths only. Of a reply nothing is decoded but the
number of the message, the operation and the result code, so nothing that a server nests or repeats costs more than a look.
A reply has at most `LARGEST` octets. Errors: NotLdap for what is no such message, EOFError and OSError of the stream.
"""

from __future__ import annotations

import asyncio
from typing import Final

from attrs import frozen

LARGEST = 1024 * 1024
"""octets of everything that comes for one request"""
SUCCESS, NO_SUCH_OBJECT = 0, 32
BIND_RESPONSE, SEARCH_ENTRY, SEARCH_DONE, SEARCH_REFERENCE, EXTENDED_RESPONSE = 0x61, 0x64, 0x65, 0x73, 0x78
_INTEGER, _OCTETS, _ENUMERATED, _SEQUENCE = 0x02, 0x04, 0x0A, 0x30
_BIND_REQUEST, _UNBIND_REQUEST, _SEARCH_REQUEST = 0x60, 0x42, 0x63
_SIMPLE, _PRESENT = 0x80, 0x87
"""context-specific tags: the passphrase of a bind, the filter `(attribute=*)`"""
_FALSE: Final = b"\x01\x01\x00"
_RESULTS: Final = (BIND_RESPONSE, SEARCH_DONE, EXTENDED_RESPONSE)
_UNSOLICITED = 0
_NAMES: Final = {
    0: "success", 1: "operationsError", 2: "protocolError", 3: "timeLimitExceeded", 4: "sizeLimitExceeded", 5: "compareFalse",
    6: "compareTrue", 7: "authMethodNotSupported", 8: "strongerAuthRequired", 10: "referral", 11: "adminLimitExceeded",
    12: "unavailableCriticalExtension", 13: "confidentialityRequired", 14: "saslBindInProgress", 16: "noSuchAttribute",
    17: "undefinedAttributeType", 18: "inappropriateMatching", 19: "constraintViolation", 20: "attributeOrValueExists",
    21: "invalidAttributeSyntax", 32: "noSuchObject", 33: "aliasProblem", 34: "invalidDNSyntax", 36: "aliasDereferencingProblem",
    48: "inappropriateAuthentication", 49: "invalidCredentials", 50: "insufficientAccessRights", 51: "busy", 52: "unavailable",
    53: "unwillingToPerform", 54: "loopDetect", 64: "namingViolation", 65: "objectClassViolation", 66: "notAllowedOnNonLeaf",
    67: "notAllowedOnRDN", 68: "entryAlreadyExists", 69: "objectClassModsProhibited", 71: "affectsMultipleDSAs", 80: "other",
}  # fmt: skip
"""RFC 4511 4.1.9"""


class NotLdap(Exception):
    """What came is no LDAP message, or none that answers the request."""


@frozen(kw_only=True)
class Answer:
    """`code`: of the result; `entries`: how many entries came before it."""

    code: int
    entries: int = 0


def result_name(code: int) -> str:
    return _NAMES.get(code, "unknown result")


# -- requests ------------------------------------------------------------------------------------------------------------------


def bind_request(number: int, name: str, passphrase: str) -> bytes:
    """A simple bind; with both empty the anonymous one (RFC 4513 5.1.1)."""
    return _message(number, _BIND_REQUEST, _integer(3), _text(name), _text(passphrase, _SIMPLE))


def base_request(number: int, base: str) -> bytes:
    """A search that finds the entry `base` itself, without its attributes (RFC 4511 4.5.1.8: `1.1`)."""
    scope = aliases = _integer(0, _ENUMERATED)  # baseObject, neverDerefAliases
    no_limit = _integer(0)
    attributes = _element(_SEQUENCE, _text("1.1"))
    any_entry = _text("objectClass", _PRESENT)
    return _message(number, _SEARCH_REQUEST, _text(base), scope, aliases, no_limit, no_limit, _FALSE, any_entry, attributes)


def unbind_request(number: int) -> bytes:
    return _message(number, _UNBIND_REQUEST)


def _message(number: int, operation: int, *fields: bytes) -> bytes:
    return _element(_SEQUENCE, _integer(number), _element(operation, *fields))


def _text(value: str, tag: int = _OCTETS) -> bytes:
    return _element(tag, value.encode("utf-8", "surrogateescape"))


def _integer(value: int, tag: int = _INTEGER) -> bytes:
    return _element(tag, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _element(tag: int, *content: bytes) -> bytes:
    body = b"".join(content)
    if len(body) < 0x80:
        return bytes([tag, len(body)]) + body
    length = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + body


# -- replies -------------------------------------------------------------------------------------------------------------------


async def answer(reader: asyncio.StreamReader, number: int, operation: int) -> Answer:
    """The result of the request `number`, whose last message is an `operation`. A server that says goodbye answers with that."""
    left, entries = LARGEST, 0
    while True:
        message = await _next_message(reader, left)
        left -= len(message)
        found, kind, content = _opened(message)
        if found == _UNSOLICITED and kind == EXTENDED_RESPONSE:  # notice of disconnection, RFC 4511 4.4.1
            return Answer(code=_code(content))
        if found != number:
            raise NotLdap
        if kind == operation:
            return Answer(code=_code(content), entries=entries)
        if operation != SEARCH_DONE or kind not in (SEARCH_ENTRY, SEARCH_REFERENCE):
            raise NotLdap
        entries += kind == SEARCH_ENTRY


async def _next_message(reader: asyncio.StreamReader, largest: int) -> bytes:
    """The content of one LDAPMessage."""
    tag, length = await reader.readexactly(2)
    if tag != _SEQUENCE or length == 0x80 or length > 0x84:
        raise NotLdap
    if length > 0x80:
        length = int.from_bytes(await reader.readexactly(length & 0x7F), "big")
    if length > largest:
        raise NotLdap
    # A message without content costs nothing, but is none: it must not go on for ever.
    if not length:
        raise NotLdap
    return await reader.readexactly(length)


def _opened(message: bytes) -> tuple[int, int, bytes]:
    """Number, operation and content of a message. Controls after it are not looked at."""
    tag, number, rest = _first(message)
    if tag != _INTEGER or not 0 < len(number) <= 4:
        raise NotLdap
    kind, content, _ = _first(rest)
    return int.from_bytes(number, "big", signed=True), kind, content


def _code(content: bytes) -> int:
    """The result code, with which every LDAPResult begins."""
    tag, code, _ = _first(content)
    if tag != _ENUMERATED or not 0 < len(code) <= 4:
        raise NotLdap
    return int.from_bytes(code, "big", signed=True)


def _first(octets: bytes) -> tuple[int, bytes, bytes]:
    """Tag and content of the first element, and what follows it."""
    if len(octets) < 2:
        raise NotLdap
    tag, length, start = octets[0], octets[1], 2
    if length == 0x80 or length > 0x84:
        raise NotLdap
    if length > 0x80:
        start += length & 0x7F
        length = int.from_bytes(octets[2:start], "big")
    if start + length > len(octets):
        raise NotLdap
    return tag, octets[start : start + length], octets[start + length :]
