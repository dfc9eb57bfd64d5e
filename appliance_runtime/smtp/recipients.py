"""Envelope recipients: the domain map and the recipient access table (listenerconfig.md 6, 7). Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from appliance_state.model.listeners import Access, DomainMapping, RatEntry


class DomainMap:
    """Rewrites envelope recipients, once. The most specific left side wins: user@domain, user@.domain, @domain, @.domain
    (the longest suffix first)."""

    __slots__ = ("_exact", "_suffixes")

    def __init__(self, mappings: Iterable[DomainMapping]) -> None:
        self._exact: dict[str, str] = {}
        self._suffixes: dict[str, str] = {}
        for mapping in mappings:
            original = mapping.original.lower()
            table = self._suffixes if "@." in original else self._exact
            table.setdefault(original.replace("@.", "@"), mapping.new)

    def rewrite(self, address: str) -> str:
        """`address` (with a domain) as it is delivered."""
        if not self._exact and not self._suffixes:
            return address
        local, _, domain = address.rpartition("@")
        new = self._find(local.lower(), domain.lower())
        if new is None:
            return address
        return local + new if new.startswith("@") else new

    def _find(self, local: str, domain: str) -> str | None:
        parents = parent_domains(domain)
        for user in (local, ""):
            if (new := self._exact.get(f"{user}@{domain}")) is not None:
                return new
            for parent in parents:
                if (new := self._suffixes.get(f"{user}@{parent}")) is not None:
                    return new
        return None


def parent_domains(domain: str) -> list[str]:
    """The domains above `domain`, longest first: a.b.c has b.c and c."""
    labels = domain.split(".")
    return [".".join(labels[n:]) for n in range(1, len(labels))]


class RecipientAccess:
    """The recipient access table: the first entry that matches decides; without an entry that matches, reject."""

    __slots__ = ("_entries", "_first", "_subdomains")

    def __init__(self, entries: Iterable[RatEntry]) -> None:
        self._entries = tuple(entries)
        self._first: dict[str, int] = {}
        for rank, entry in enumerate(self._entries):
            self._first.setdefault(_literal_text(entry.address.lower()), rank)
        self._subdomains = any(key.rpartition("@")[2].startswith(".") for key in self._first)

    def entry(self, address: str) -> RatEntry | None:
        """The entry that decides about `address` (with a domain); None = none matches."""
        first, none = self._first.get, len(self._entries)
        local, _, domain = address.lower().rpartition("@")
        domain = _literal_text(domain)
        rank = min(first(f"{local}@{domain}", none), first(domain, none), first(f"{local}@", none), first("all", none))
        if self._subdomains and domain[:1] != "[":
            for parent in parent_domains(domain):
                rank = min(rank, first(f".{parent}", none), first(f"{local}@.{parent}", none))
        return self._entries[rank] if rank < none else None


REJECTED = RatEntry(address="ALL", access=Access.REJECT)
"""What holds for a recipient for whom the table has no entry."""


def _literal_text(address: str) -> str:
    """Literals of IPv6 addresses in one spelling."""
    if "[ipv6:" not in address:
        return address
    local, _, literal = address.rpartition("[ipv6:")
    try:
        return f"{local}[ipv6:{ipaddress.IPv6Address(literal.rstrip(']'))}]"
    except ValueError:
        return address
