"""What came from outside, made fit for one line of a log, a terminal or a mail (logs-and-alerts.md 1, rule 6).

Control characters (C0, DEL, C1) become `\\x0d`, bytes that are not UTF-8 `\\xe9`; a value longer than 1024 characters is
cut there and followed by `...`. Bytes that were decoded with "surrogateescape" count as the bytes that they were.
"""

from __future__ import annotations

import re

LONGEST_VALUE = 1024

_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def _code(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:  # a single byte, PEP 383
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def escape(value: str | bytes) -> str:
    """`value` as one safe piece of a line."""
    text = value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value
    if len(text) > LONGEST_VALUE:
        text = f"{text[:LONGEST_VALUE]}..."
    return text if text.isprintable() else _UNSAFE.sub(_code, text)


def quote(value: str | bytes) -> str:
    """`value` as Python writes a string, with control characters in the form of `escape`: `'5.1.1 no such user'`."""
    text = escape(value)
    mark = '"' if "'" in text and '"' not in text else "'"
    return mark + (text.replace("'", "\\'") if mark in text else text) + mark


def field_text(value: object) -> str:
    """A field of an event as it stands in its line. Lists: `[0, 1]`, `['5.1.1 no such user']`."""
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str | bytes):
        return escape(value)
    if isinstance(value, list | tuple):
        if {*map(type, value)} == {int}:
            return str([*value])
        return f"[{', '.join(quote(item) if isinstance(item, str | bytes) else field_text(item) for item in value)}]"
    return escape(str(value))
