"""Names as they are shown, and the wildcard below a name."""

from __future__ import annotations

import dns.name


def text_of(name: dns.name.Name) -> str:
    """Lower case, without trailing dot; empty for the root."""
    return name.to_text(omit_final_dot=True).lower() if name != dns.name.root else ""


def shown(name: dns.name.Name) -> str:
    """As in a text for people: the root is a dot."""
    return text_of(name) or "."


def wildcard_of(encloser: dns.name.Name) -> dns.name.Name:
    """The name whose records stand for what does not exist directly below `encloser` (RFC 4592)."""
    return dns.name.Name((b"*", *encloser.labels))
