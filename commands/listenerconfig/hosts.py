"""Sources of the host access table as they are typed: parsing of lists, and the texts of the questions (listenerconfig.md 5.3, 5.4)."""

from __future__ import annotations

import re

from appliance_state.access_sources import ALL, parse_source, unsupported_source
from appliance_state.hat_text import NAME
from commands.answers import word
from commands.dialog import Rejected

FORMS = """\
CIDR addresses such as 10.1.1.0/24 are allowed. IP
address ranges such as 10.1.1.10-20 are allowed. IP subnets such as 10.2.3. are
allowed. Hostnames such as crm.example.com are allowed. Partial hostnames such
as .example.com are allowed.
Separate multiple hosts with commas"""
NOT_VALID = """\
"{}" is not a valid host.
IP addresses, IP address ranges, CIDR addresses, and partial IP addresses are allowed.
Hostnames such as "example.com" and partial hostnames such as ".example.com" are allowed."""
NOT_SUPPORTED = "Reputation, geolocation, DNS list and threat feed sources are not supported."

entry_name = word(NAME, "A name may contain letters, numbers, underscores, hyphens and periods.")

_SEPARATOR = re.compile(r",(?![^\[\]]*\])")
"""A comma that does not stand inside brackets."""


def sources(answer: str) -> tuple[str, ...]:
    """The sources of a list with commas, without doubles. Errors: Rejected."""
    found: list[str] = []
    for part in (part.strip() for part in _SEPARATOR.split(answer)):
        if unsupported_source(part):
            raise Rejected(NOT_SUPPORTED)
        try:
            source = parse_source(part).text
        except ValueError:
            raise Rejected(NOT_VALID.format(part)) from None
        if source == ALL:
            raise Rejected(NOT_VALID.format(part))
        if source not in found:
            found.append(source)
    return tuple(found)
