"""Masquerading: other sender addresses in the envelope and in the headers of a message (listenerconfig.md 7). Pure.

The first entry whose left side matches decides: `user` (at any domain, or without one), `user@domain`, `@domain`,
`@.domain` (below it), `@` (an address without a domain). A right side `@domain` replaces the domain, a complete address
all of it. Only fields that parse as a list of addresses (RFC 5322 3.4) are touched, and of them only the addresses: names,
comments and folds stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from attrs import define, field

from appliance_runtime.smtp.recipients import parent_domains
from appliance_state.model.listeners import MasqueradedField, Masquerading

HEADERS = {
    b"from": MasqueradedField.FROM,
    b"to": MasqueradedField.TO,
    b"cc": MasqueradedField.CC,
    b"reply-to": MasqueradedField.REPLY_TO,
}
_NEVER = 1 << 62
_FIELD = re.compile(rb"^([!-9;-~]+)([ \t]*:)([^\r\n]*(?:\r?\n[ \t][^\r\n]*)*)", re.MULTILINE)
_TOKEN = re.compile(
    rb'(?P<quoted>"(?:\\.|[^"\\])*")|(?P<comment>\((?:\\.|[^()\\])*\))|<(?P<angle>(?:"(?:\\.|[^"\\])*"|[^<>"])*)>'
    rb'|(?P<end>[,;])|(?P<group>:)|(?P<text>[^"(),;:<>]+)',
    re.DOTALL,
)
_ADDRESS = re.compile(rb'(?P<local>"(?:\\.|[^"\\])*"|[^\s@"]+)(?:@(?P<domain>[^\s@\[\]]+|\[[^\s@\[\]]*\]))?')


class Masquerade:
    """The table of one listener. Every form of a left side is a key with its place, so that many entries cost a few look-ups."""

    __slots__ = ("_new", "_places", "fields")

    def __init__(self, entries: Iterable[Masquerading], fields: frozenset[MasqueradedField]) -> None:
        self.fields = fields
        self._new: list[str] = []
        self._places: dict[str, int] = {}
        for entry in entries:
            self._places.setdefault(entry.original.lower(), len(self._new))
            self._new.append(entry.new)

    def __bool__(self) -> bool:
        return bool(self._new) and bool(self.fields)

    def rewrite(self, address: str) -> str:
        """`address` as others are to see it; the same one when no entry matches."""
        local, at, domain = address.rpartition("@") if "@" in address else (address, "", "")
        user, name = local.lower(), domain.lower()
        keys = [user, *([f"{user}@{name}", f"@{name}", *(f"@.{parent}" for parent in parent_domains(name))] if at else ["@"])]
        place = min(self._places.get(key, _NEVER) for key in keys)
        if not address or place == _NEVER:
            return address
        new = self._new[place]
        return local + new if new.startswith("@") else new

    def envelope_sender(self, address: str) -> str:
        return self.rewrite(address) if MasqueradedField.ENVELOPE_SENDER in self.fields else address

    def header(self, fields: bytes) -> tuple[bytes, list[tuple[str, str, str]]]:
        """The header rewritten, and what was: (name of the field, old address, new address)."""
        made: list[bytes] = []
        changes: list[tuple[str, str, str]] = []
        at = 0
        for match in _FIELD.finditer(fields):
            wanted = HEADERS.get(match[1].lower())
            if match.end() == len(fields):
                break  # the header was cut here
            if wanted is None or wanted not in self.fields:
                continue
            for start, end in _addresses(match[3]) or ():
                old = match[3][start:end].decode("utf-8", "surrogateescape")
                new = self.rewrite(old)
                if new != old:
                    changes.append((wanted.label, old, new))
                    made += (fields[at : match.start(3) + start], new.encode("utf-8", "surrogateescape"))
                    at = match.start(3) + end
        return (b"".join((*made, fields[at:])) if made else fields), changes


@define
class _Mailbox:
    """What stands between two commas: its address in angle brackets, or all that is no comment."""

    angle: tuple[int, int] | None = None
    pieces: list[tuple[int, int]] = field(factory=list)

    def address(self, value: bytes) -> tuple[int, int] | None:
        """Errors: ValueError when there is none, and something else instead."""
        if self.angle is not None:
            span = self.angle
        elif self.pieces:
            span = self.pieces[0][0], self.pieces[-1][1]
        else:
            return None
        text = value[slice(*span)]
        if not text.strip():
            return None
        start = span[0] + len(text) - len(text.lstrip())
        end = span[1] - len(text) + len(text.rstrip())
        if self.angle is not None and value[start : start + 1] == b"@":
            return None  # a source route
        if not _ADDRESS.fullmatch(value, start, end):
            raise ValueError(value)
        return start, end


def _addresses(value: bytes) -> list[tuple[int, int]] | None:
    """Where the addresses stand in the value of a field; None when it is no list of addresses."""
    try:
        return list(_spans(value))
    except ValueError:
        return None


def _spans(value: bytes) -> Iterator[tuple[int, int]]:
    mailbox = _Mailbox()
    at = 0
    while at < len(value):
        token = _TOKEN.match(value, at)
        if token is None or (mailbox.angle is not None and token.lastgroup in ("quoted", "angle", "group")):
            raise ValueError(value)
        at = token.end()
        match token.lastgroup:
            case "angle":
                mailbox.angle = token.span("angle")
            case "group":
                mailbox = _Mailbox()  # what came before is the name of a group
            case "end":
                if (span := mailbox.address(value)) is not None:
                    yield span
                mailbox = _Mailbox()
            case "quoted" | "text":
                if token[0].strip():
                    if mailbox.angle is not None:
                        raise ValueError(value)
                    mailbox.pieces.append(token.span())
    if (span := mailbox.address(value)) is not None:
        yield span
