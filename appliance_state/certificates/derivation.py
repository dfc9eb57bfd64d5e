"""How much work the passphrase of an encrypted file costs, read before any of it is done.

Iterations of PBKDF2 (RFC 8018 A.2), of the PKCS#12 functions (RFC 7292 appendix B, C) and of the MAC (RFC 7292 4) stand
behind the salt: an OCTET STRING followed by an INTEGER. Those of scrypt (RFC 7914 7) are three INTEGERs. All of them
are added up, wherever they stand, so that a file of many bags costs no more than one of a single bag.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from appliance_state.certificates.der import INTEGER, OCTET_STRING, OCTET_STRING_IN_PIECES, Element, elements

MAX_ITERATIONS = 10_000_000
_MAX_ELEMENTS = 200_000
_MAX_DEPTH = 64


def longest_number(data: bytes) -> int:
    """Octets of the longest INTEGER of an encoding, however deep it stands. Errors: TooMuchWork."""
    return max((len(element.content) for found in _levels(data) for element in found if element.tag == INTEGER), default=0)


class TooMuchWork(Exception):
    """The file is built to keep its reader busy."""


def check_work(data: bytes) -> None:
    """Errors: TooMuchWork for more than MAX_ITERATIONS in all, and for a structure without end."""
    if iterations(data) > MAX_ITERATIONS:
        raise TooMuchWork


def iterations(data: bytes) -> int:
    """All iterations that `data` asks for. What is no encoding asks for none. Errors: TooMuchWork."""
    return sum(map(_asked_for, _levels(data)))


def _levels(data: bytes) -> Iterator[list[Element]]:
    """The elements of an encoding, those of one level together; strings that hold an encoding are opened. Errors: TooMuchWork."""
    seen = 0
    waiting = [(data, 0, len(data), 0)]
    while waiting:
        buffer, start, end, depth = waiting.pop()
        found: list[Element] = []
        try:
            for element in elements(buffer, start, end):
                found.append(element)
                seen += 1
                if seen > _MAX_ELEMENTS or depth > _MAX_DEPTH:
                    raise TooMuchWork
        except ValueError:
            continue  # octets that hold no structure
        yield found
        for element in found:
            if element.tag == OCTET_STRING_IN_PIECES:
                whole = _whole(element)
                waiting.append((whole, 0, len(whole), depth + 1))
            elif element.constructed or element.tag == OCTET_STRING:
                waiting.append((buffer, element.start, element.end, depth + 1))


def _whole(element: Element) -> bytes:
    try:
        return element.string()
    except (ValueError, RecursionError):
        raise TooMuchWork from None


def _asked_for(found: list[Element]) -> int:
    total = 0
    for position, element in enumerate(found):
        if element.tag not in (OCTET_STRING, OCTET_STRING_IN_PIECES):
            continue
        numbers = [follower for follower in found[position + 1 : position + 4] if follower.tag == INTEGER]
        if not numbers or numbers[0] is not found[position + 1]:
            continue
        if any(len(number.content) > 16 for number in numbers):
            raise TooMuchWork
        values = [number.integer() for number in numbers]
        total += max(0, math.prod(values) if len(values) == 3 else values[0])
    return total
