"""The recipient access table and the domain map as text: what PRINT shows, EXPORT writes and IMPORT reads.

    postmaster@example.com ACCEPT (code=250, text="we are here", bypass=yes)
    ALL REJECT

    @.old.example.com @example.com

`#` begins a comment outside quotes. A recipient table without `ALL` gets `ALL REJECT`. Source: listenerconfig.md 6, 7.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from appliance_state.access_sources import ALL, mapping_new, mapping_original, recipient_pattern
from appliance_state.hat_text import TableError, quoted
from appliance_state.model.listeners import Access, DomainMapping, RatEntry

MAX_MAPPINGS = 20000
CODES = {Access.ACCEPT: (200, 299), Access.REJECT: (400, 599)}
NOT_COMPLETE = "The new address must be a complete email address."

_LINE = re.compile(r"(?P<address>\S+)\s+(?P<access>\w+)\s*(?:\((?P<details>.*)\))?", re.ASCII)
_DETAIL = re.compile(r'\s*(?P<name>\w+)\s*=\s*(?:"(?P<text>(?:\\.|[^"\\])*)"|(?P<word>[^\s,"]+))\s*(?:,|$)', re.ASCII)
_COMMENT = re.compile(r'((?:[^"#]|"(?:\\.|[^"\\])*")*)')
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")


def recipient_access_text(rat: Sequence[RatEntry]) -> str:
    """One line per entry; the last line has no line end."""
    return "\n".join(_rat_line(entry) for entry in rat)


def _rat_line(entry: RatEntry) -> str:
    details = []
    if entry.response_code is not None:
        details.append(f"code={entry.response_code}")
    if entry.response_text is not None:
        details.append(f"text={quoted(entry.response_text)}")
    if entry.bypass_receiving_control:
        details.append("bypass=yes")
    line = f"{entry.address} {entry.access.name}"
    return f"{line} ({', '.join(details)})" if details else line


def line_error(line: int, reason: str) -> TableError:
    """What an import prints about a line."""
    return TableError(f"Error: Line {line}: {reason}")


def numbered_lines(text: str) -> Iterator[tuple[int, str]]:
    """Numbered lines without comments; empty ones are left out."""
    for number, raw in enumerate(text.split("\n"), start=1):
        found = _COMMENT.match(_CONTROL.sub("", raw))
        if found and (line := found[1].strip()):
            yield number, line


def parse_recipient_access(text: str) -> tuple[RatEntry, ...]:
    """Read a table. Errors: TableError with the line to print."""
    entries: list[RatEntry] = []
    seen: set[str] = set()
    for number, line in numbered_lines(text):
        if ALL.casefold() in seen:
            raise TableError(f'Error: The table must end with an "{ALL}" entry.')
        entry = _rat_entry(number, line)
        if entry.address.casefold() in seen:
            raise line_error(number, f'the address "{entry.address}" is already in the table.')
        seen.add(entry.address.casefold())
        entries.append(entry)
    if ALL.casefold() not in seen:
        entries.append(RatEntry(address=ALL, access=Access.REJECT))
    return tuple(entries)


def _rat_entry(number: int, line: str) -> RatEntry:
    found = _LINE.fullmatch(line)
    if not found:
        raise line_error(number, "expected an address and ACCEPT or REJECT.")
    if found["access"].upper() not in Access.__members__:
        raise line_error(number, f'unknown access "{found["access"]}".')
    access = Access[found["access"].upper()]
    try:
        address = ALL if found["address"].upper() == ALL else recipient_pattern(found["address"])
    except ValueError:
        raise line_error(number, f'"{found["address"]}" is not a valid address.') from None
    code: int | None = None
    text: str | None = None
    bypass = False
    position = 0
    details = found["details"] or ""
    while details[position:].strip():
        detail = _DETAIL.match(details, position)
        if not detail:
            raise line_error(number, f'unexpected "{details[position:].strip()}".')
        position = detail.end()
        name = detail["name"].lower()
        value = detail["word"] if detail["text"] is None else re.sub(r"\\(.)", _unescaped, detail["text"])
        low, high = CODES[access]
        if name == "text":
            text = value
        elif name == "code" and value.isdigit() and len(value) == 3 and low <= int(value) <= high:
            code = int(value)
        elif name == "bypass" and value.lower() in ("yes", "no"):
            bypass = value.lower() == "yes"
        elif name in ("code", "bypass"):
            raise line_error(number, f'invalid "{name}" value: {value}.')
        else:
            raise line_error(number, f'unknown parameter "{detail["name"]}".')
    return RatEntry(address=address, access=access, response_code=code, response_text=text, bypass_receiving_control=bypass)


def _unescaped(found: re.Match[str]) -> str:
    return "\n" if found[1] == "n" else found[1]


def domain_map_text(mappings: Sequence[DomainMapping]) -> str:
    """What EXPORT writes: `left right` per line, with line ends."""
    return "".join(f"{mapping.original} {mapping.new}\n" for mapping in mappings)


def check_mapping(mapping: DomainMapping) -> None:
    """Errors: ValueError when a user is mapped to a domain."""
    if not mapping.original.startswith("@") and mapping.new.startswith("@"):
        raise ValueError(NOT_COMPLETE)


def parse_domain_map(text: str) -> tuple[DomainMapping, ...]:
    """Read a domain map. Errors: TableError with the line to print."""
    mappings: dict[str, DomainMapping] = {}
    for number, line in numbered_lines(text):
        words = line.split()
        if len(words) != 2:
            raise line_error(number, "expected an original and a new domain.")
        try:
            original = mapping_original(words[0])
        except ValueError:
            raise line_error(number, f'"{words[0]}" is not a valid domain.') from None
        try:
            mapping = DomainMapping(original=original, new=mapping_new(words[1]))
        except ValueError:
            raise line_error(number, f'"{words[1]}" is not a valid domain.') from None
        try:
            check_mapping(mapping)
        except ValueError as problem:
            raise line_error(number, str(problem)) from None
        if original.casefold() in mappings:
            raise line_error(number, f'the domain "{original}" is already in the table.')
        mappings[original.casefold()] = mapping
    if len(mappings) > MAX_MAPPINGS:
        raise TableError(f"Error: {TOO_MANY}")
    return tuple(mappings.values())


TOO_MANY = f"There is a maximum of {MAX_MAPPINGS} domain mappings."
