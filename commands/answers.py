"""Parsers that several dialogs share: each returns the value or raises Rejected with the text of conventions.md 6."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable

from appliance_state.names import DOMAIN_RULES, HOSTNAME_RULES, is_email, is_hostname
from commands.dialog import BLANK, INVALID, Rejected

IPV4_TEXT = "The IP address must be 4 numbers separated by a period.  Each number must be a value from 0 to 255. (Ex: 192.168.1.1)"
IPV6_TEXT = "The IP address must be a valid IPv6 address. (Ex: 2001:420:80:1::5)"
EMAIL_TEXT = "An email address is a localname followed by an @ sign and a domain name. (Ex: administrator@example.com)"
_FILE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}", re.ASCII)


def integer(low: int, high: int) -> Callable[[str], int]:
    """Decimal digits, from `low` to `high`."""

    def parse(answer: str) -> int:
        digits = answer.removeprefix("-") if low < 0 else answer
        if digits.isascii() and digits.isdigit() and len(digits) <= 12 and low <= int(answer) <= high:
            return int(answer)
        raise Rejected(f"The value must be an integer from {low} to {high}.")

    return parse


port = integer(1, 65535)


def text(longest: int) -> Callable[[str], str]:
    """Any text of at most `longest` characters."""

    def parse(answer: str) -> str:
        if not answer:
            raise Rejected(BLANK)
        if len(answer) > longest:
            raise Rejected(f"The value may not be longer than {longest} characters.")
        return answer

    return parse


def word(pattern: str, message: str) -> Callable[[str], str]:
    """A text that matches `pattern` as a whole, else `message`."""
    matcher = re.compile(pattern, re.ASCII)

    def parse(answer: str) -> str:
        if not matcher.fullmatch(answer):
            raise Rejected(message)
        return answer

    return parse


def ipv4(answer: str) -> str:
    try:
        return str(ipaddress.IPv4Address(answer))
    except ValueError:
        raise Rejected(IPV4_TEXT) from None


def ipv6(answer: str) -> str:
    try:
        if "%" in answer:
            raise ValueError
        return str(ipaddress.IPv6Address(answer))
    except ValueError:
        raise Rejected(IPV6_TEXT) from None


def ip_address(answer: str) -> str:
    """IPv6 where there is a colon, else IPv4."""
    return ipv6(answer) if ":" in answer else ipv4(answer)


def hostname(answer: str) -> str:
    """A host name in lower case. Errors: Rejected with the four rules."""
    if not is_hostname(answer):
        raise Rejected(HOSTNAME_RULES)
    return answer.lower()


def domain(answer: str) -> str:
    """A domain name in lower case."""
    if not is_hostname(answer):
        raise Rejected(DOMAIN_RULES)
    return answer.lower()


def email(answer: str) -> str:
    if not is_email(answer):
        raise Rejected(EMAIL_TEXT)
    return answer


def file_name(answer: str) -> str:
    """Name of a file in /configuration: no path, no leading period."""
    if not _FILE_NAME.fullmatch(answer):
        raise Rejected(f'Symbols are not allowed in the file name "{answer}".')
    return answer


def words(answer: str) -> list[str]:
    """A list separated by commas; blanks around them do not count."""
    found = [part.strip() for part in answer.split(",")]
    if not all(found):
        raise Rejected(INVALID)
    return found
