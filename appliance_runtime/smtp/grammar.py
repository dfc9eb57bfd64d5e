"""Grammar of MAIL and RCPT: the addresses and the parameters behind them. Pure.

Read generously (RFC 5321 4.1.2): `<local@domain>`, angle brackets may be missing, a source route before the address is
ignored (RFC 5321 appendix C), `<>` is the null address, the local part may be quoted, the domain may be an address literal.
Local parts may hold dots anywhere. Only ASCII: SMTPUTF8 is not offered. Parameters: SIZE (RFC 1870), BODY (RFC 6152).
"""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple

from appliance_runtime.smtp import replies

POSTMASTER = "postmaster"
_BODY_VALUES = (b"7BIT", b"8BITMIME")
_MAILBOX = r"""
    ([A-Za-z0-9!\#$%&'*+/=?^_`{|}~.-]+ | "(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\[\x20-\x7e])*")
    (?:@([A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)* | \[[0-9A-Fa-fIPv:.]+\]))?
"""
_PATH = rf"[ \t]*(?:<(?:@[^<>:\s]+:)?(?:{_MAILBOX})?>|{_MAILBOX})(?=[ \t]|$)"
FROM = re.compile(r"[ \t]*[Ff][Rr][Oo][Mm]:" + _PATH, re.VERBOSE)
TO = re.compile(r"[ \t]*[Tt][Oo]:" + _PATH, re.VERBOSE)


class Path(NamedTuple):
    """An address as a client named it: `local` and `domain` both empty = the null address; `rest` = what stands behind it."""

    local: str
    domain: str | None
    rest: str

    @property
    def given(self) -> str:
        return self.local if self.domain is None else f"{self.local}@{self.domain}"


def parse_path(word: re.Pattern[str], argument: bytes) -> Path | None:
    """The path that an argument of MAIL (`FROM`) or RCPT (`TO`) begins with; None = syntax error."""
    match = word.match(argument.decode("ascii")) if argument.isascii() else None
    if match is None:
        return None
    local, domain, bare_local, bare_domain = match.groups()
    if bare_local is not None:
        local, domain = bare_local, bare_domain
    if domain is not None and domain[0] == "[" and not is_literal(domain):
        return None
    return Path(local or "", domain, match.string[match.end() :])


def is_literal(domain: str) -> bool:
    """`[192.0.2.1]` or `[IPv6:2001:db8::1]`."""
    inner = domain[1:-1]
    try:
        if inner[:5].lower() == "ipv6:":
            ipaddress.IPv6Address(inner[5:])
        else:
            ipaddress.IPv4Address(inner)
    except ValueError:
        return False
    return True


def mail_parameters(text: bytes, max_size: int) -> bytes | None:
    """The reply that says what is wrong with the parameters of MAIL; None = nothing."""
    for word in text.split():
        keyword, _, value = word.partition(b"=")
        match keyword.upper():
            case b"SIZE":
                if not value.isdigit() or len(value) > 20:
                    return replies.unknown_value(value)
                if int(value) > max_size:
                    return replies.MESSAGE_TOO_LARGE
            case b"BODY":
                if value.upper() not in _BODY_VALUES:
                    return replies.unknown_value(value)
            case _:
                return replies.unknown_option(keyword)
    return None
