"""Elements of DER and BER (X.690), as far as they must be looked at without decoding everything.

Lengths may be indefinite and strings in pieces, as some programs write PKCS#12 files. Errors: ValueError, nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

INTEGER, BOOLEAN, OCTET_STRING, OID = 0x02, 0x01, 0x04, 0x06
OCTET_STRING_IN_PIECES = 0x24
SEQUENCE, SET = 0x30, 0x31
CONSTRUCTED = 0x20
_MAX_NESTING = 64


@frozen
class Element:
    """`tag`: first identifier octet. `data[start:end]`: its content."""

    tag: int
    data: bytes
    start: int
    end: int

    @property
    def content(self) -> bytes:
        return self.data[self.start : self.end]

    @property
    def constructed(self) -> bool:
        return bool(self.tag & CONSTRUCTED)

    def children(self) -> list[Element]:
        """The elements inside a constructed one, or inside a string that holds an encoding."""
        return list(elements(self.data, self.start, self.end))

    def string(self) -> bytes:
        """Content of a string, its pieces joined."""
        if not self.constructed:
            return self.content
        return b"".join(piece.string() for piece in self.children())

    def integer(self) -> int:
        return int.from_bytes(self.content, "big", signed=True)


def elements(data: bytes, start: int = 0, end: int | None = None) -> Iterator[Element]:
    """The elements that follow each other in `data[start:end]`."""
    end = len(data) if end is None else end
    while start < end:
        element, start = _element(data, start, end, 0)
        yield element


def only(data: bytes) -> Element:
    """The one element of `data`."""
    found = list(elements(data))
    if len(found) != 1:
        raise ValueError("not one element")
    return found[0]


def _element(data: bytes, start: int, end: int, nesting: int) -> tuple[Element, int]:
    """The element at `start` and the position behind it."""
    if nesting > _MAX_NESTING:
        raise ValueError("nested too deeply")
    tag, position = data[start], start + 1
    if tag & 0x1F == 0x1F:  # high tag number: octets with the top bit set, then one without
        while position < end and data[position] & 0x80:
            position += 1
        position += 1
    if position >= end:
        raise ValueError("truncated")
    length = data[position]
    position += 1
    if length == 0x80:
        if not tag & CONSTRUCTED:
            raise ValueError("indefinite length of a primitive")
        return _indefinite(tag, data, position, end, nesting)
    if length > 0x80:
        size = length & 0x7F
        if size > 8 or position + size > end:
            raise ValueError("bad length")
        length = int.from_bytes(data[position : position + size], "big")
        position += size
    if position + length > end:
        raise ValueError("truncated")
    return Element(tag, data, position, position + length), position + length


def _indefinite(tag: int, data: bytes, start: int, end: int, nesting: int) -> tuple[Element, int]:
    position = start
    while data[position : position + 2] != b"\0\0":
        if position >= end:
            raise ValueError("truncated")
        _, position = _element(data, position, end, nesting + 1)
    if position + 2 > end:
        raise ValueError("truncated")
    return Element(tag, data, start, position), position + 2


def dotted(content: bytes) -> str:
    """An object identifier: `2.5.4.3`."""
    if not content:
        raise ValueError("empty object identifier")
    arcs: list[int] = []
    value = 0
    for octet in content:
        value = value << 7 | octet & 0x7F
        if not octet & 0x80:
            arcs.append(value)
            value = 0
    if not arcs or content[-1] & 0x80 or len(content) > 128:
        raise ValueError("bad object identifier")
    first = min(arcs[0] // 40, 2)
    return ".".join(str(arc) for arc in (first, arcs[0] - 40 * first, *arcs[1:]))
