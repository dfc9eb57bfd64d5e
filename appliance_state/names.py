"""Host names, domain names, e-mail addresses, distinguished names: the one place where their rules stand (conventions.md 6)."""

from __future__ import annotations

import re

LABEL_RULES = (
    "- A label is a set of characters, numbers, dashes, and underscores.",
    "- The first and last character of a label must be a letter or a number.",
)
HOSTNAME_RULES = "\n".join(
    (
        "A hostname is a string that must match the following rules:",
        *LABEL_RULES,
        "- The hostname must have at least 2 labels separated by a period.",
        "- The last label cannot be all numbers.",
    )
)
DOMAIN_RULES = "\n".join(
    (
        "A valid domain name is a string that must match the following rules:",
        *LABEL_RULES,
        "- The domain must have at least 2 labels separated by a period.",
        "- The last label cannot be all numbers.",
    )
)

_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?", re.ASCII)
_LOCAL_PART = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*", re.ASCII)

# RFC 4514 3, and blanks around separators as in RFC 2253 4. Values are not empty.
_PAIR = r'\\(?:[ "#+,;<=>\\]|[0-9A-Fa-f]{2})'
_ATTRIBUTE_TYPE = r"(?:[A-Za-z][A-Za-z0-9-]*|[0-9]+(?:\.[0-9]+)+)"
_ATTRIBUTE_VALUE = rf'(?:#(?:[0-9A-Fa-f]{{2}})+ *|(?:{_PAIR}|[^\0 "#+,;<>\\])(?:{_PAIR}|[^\0"+,;<>\\])*)'
_ATTRIBUTE = rf" *{_ATTRIBUTE_TYPE} *= *{_ATTRIBUTE_VALUE}"
_DISTINGUISHED_NAME = re.compile(rf"{_ATTRIBUTE}(?:[,+]{_ATTRIBUTE})*")


def is_hostname(name: str) -> bool:
    """At least two labels of 1 to 63 characters, at most 253 in all, the last label not all digits, ASCII only."""
    labels = name.split(".")
    return len(name) <= 253 and len(labels) >= 2 and all(_LABEL.fullmatch(label) for label in labels) and not labels[-1].isdigit()


def is_fqdn(name: str) -> bool:
    """The rule of the FQDN check: a host name whose first label may be `*` alone when two labels follow."""
    return len(name) <= 253 and is_hostname(name.removeprefix("*."))


def is_email(address: str) -> bool:
    """local@domain: local part 1 to 64 atom characters of RFC 5321 4.1.2, domain as a host name."""
    local, at, domain = address.rpartition("@")
    return bool(at) and len(local) <= 64 and _LOCAL_PART.fullmatch(local) is not None and is_hostname(domain)


def is_distinguished_name(name: str) -> bool:
    """The text form of RFC 4514: `uid=esa,ou=Mail,dc=example,dc=com`. The empty name of the root is none here."""
    return _DISTINGUISHED_NAME.fullmatch(name) is not None
