"""Forms in which tables name hosts and addresses: sources of the HAT, addresses of the RAT, sides of mappings.

Every parser returns the form that is stored and raises ValueError for anything else; the texts that operators see stand
beside the questions. Host and domain names are stored in lower case, IPv6 addresses in their short form, a CIDR block by
the first address of its network. Source: listenerconfig.md 5.1, 6, 7.
"""

from __future__ import annotations

import ipaddress
import re
from ipaddress import IPv4Address, IPv6Address

from attrs import frozen

from appliance_state.names import is_email, is_hostname

ALL = "ALL"

Address = IPv4Address | IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_PARTIAL = re.compile(r"(?:[0-9]{1,3}\.){1,3}", re.ASCII)
_SHORT_RANGE = re.compile(r"([0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.)([0-9]{1,3})-([0-9]{1,3})", re.ASCII)
_ADDRESSES_ONLY = re.compile(r"[0-9./-]*|[0-9a-f:./-]*:[0-9a-f:./-]*", re.ASCII)

UNSUPPORTED_SOURCES = {
    "sbrs": "reputation",
    "sbo": "reputation",
    "dnslist": "DNS list",
    "geo": "geolocation",
    "etf": "threat feed",
}
"""Sources that the emulated product has and this one has not: word in front of `[` or `:`, what it is called."""

_UNSUPPORTED = re.compile(rf"({'|'.join(UNSUPPORTED_SOURCES)})[\[:].*", re.IGNORECASE)


@frozen(kw_only=True)
class Source:
    """A parsed source: all addresses from `first` to `last`, or a verified reverse `name`, or (neither) everything.

    A `name` that begins with a period stands for every name below that domain.
    """

    text: str
    first: Address | None = None
    last: Address | None = None
    name: str | None = None

    @property
    def everything(self) -> bool:
        return self.first is None and self.name is None

    @property
    def networks(self) -> list[Network]:
        """The networks that have these addresses and no others."""
        return [] if self.first is None or self.last is None else list(ipaddress.summarize_address_range(self.first, self.last))


def unsupported_source(text: str) -> str | None:
    """What kind of unsupported source this is (`reputation` …), None = none of them."""
    found = _UNSUPPORTED.fullmatch(text)
    return UNSUPPORTED_SOURCES[found[1].lower()] if found else None


def parse_source(text: str) -> Source:
    """A source of the host access table: address, CIDR block, range, partial address, host name, `.domain`, ALL."""
    if text.upper() == ALL:
        return Source(text=ALL)
    lower = text.lower()
    if not _ADDRESSES_ONLY.fullmatch(lower):
        if is_hostname(f"host{lower}" if lower.startswith(".") else lower):
            return Source(text=lower, name=lower)
        raise ValueError(text)
    if "/" in lower:
        network = ipaddress.ip_network(lower, strict=False)
        if not lower.partition("/")[2].isdigit():
            raise ValueError(text)
        return Source(text=str(network), first=network[0], last=network[-1])
    if "-" in lower:
        return _range(lower)
    if _PARTIAL.fullmatch(lower):
        missing = 4 - lower.count(".")
        first = IPv4Address(lower + ".".join(["0"] * missing))
        return Source(text=lower, first=first, last=IPv4Address(lower + ".".join(["255"] * missing)))
    address = ipaddress.ip_address(lower)
    return Source(text=str(address), first=address, last=address)


def _range(text: str) -> Source:
    first: Address
    last: Address
    if short := _SHORT_RANGE.fullmatch(text):
        first, last = IPv4Address(short[1] + short[2]), IPv4Address(short[1] + short[3])
    else:
        low, _, high = text.partition("-")
        first, last = ipaddress.ip_address(low), ipaddress.ip_address(high)
        text = f"{first}-{last}"
    if first.version != last.version or int(first) > int(last):
        raise ValueError(text)
    return Source(text=text, first=first, last=last)


def _domain(text: str) -> str:
    """A host name, or a period and a domain, in lower case."""
    if not is_hostname(f"host{text}" if text.startswith(".") else text):
        raise ValueError(text)
    return text.lower()


def _local_part(text: str) -> str:
    if not is_email(f"{text}@example.com"):
        raise ValueError(text)
    return text


def recipient_pattern(text: str) -> str:
    """An address of the recipient access table (ALL excepted): domain, `.domain`, `[1.2.3.4]`, `user@`, `user@domain`, `user@[1.2.3.4]`."""
    local, at, domain = text.rpartition("@")
    if not at:
        return _literal(domain) if domain.startswith("[") else _domain(domain)
    _local_part(local)
    if not domain:
        return text
    if domain.startswith("."):
        raise ValueError(text)
    return f"{local}@{_literal(domain) if domain.startswith('[') else _domain(domain)}"


def _literal(text: str) -> str:
    if not text.endswith("]"):
        raise ValueError(text)
    return f"[{IPv4Address(text[1:-1])}]"


def mapping_original(text: str) -> str:
    """Left side of a domain mapping: `@domain`, `@.domain`, `user@domain`, `user@.domain`."""
    local, at, domain = text.rpartition("@")
    if not at:
        raise ValueError(text)
    return f"{_local_part(local) if local else ''}@{_domain(domain)}"


def mapping_new(text: str) -> str:
    """Right side of a domain mapping: `@domain` or a complete address."""
    if text.rpartition("@")[2].startswith("."):
        raise ValueError(text)
    return mapping_original(text)


def masquerade_original(text: str) -> str:
    """Left side of a masquerading entry: `user`, `user@domain`, `@domain`, `@.domain`, `@`."""
    local, at, domain = text.rpartition("@")
    if not at:
        return _local_part(text)
    if not domain and not local:
        return "@"
    if local and domain.startswith("."):
        raise ValueError(text)
    return f"{_local_part(local) if local else ''}@{_domain(domain)}"


def masquerade_new(text: str) -> str:
    """Right side of a masquerading entry: `@domain` or a complete address."""
    return mapping_new(text)
