"""The written form of SMTP routes: in questions, in PRINT and in files (routing.md 1).

    example.com exchange.example.com, [backup.example.com]:2525/pri=10
    .example.com USEDNS
    ALL /dev/null

A destination is a host name, a host name in brackets (address records only), an IPv4 address with or without brackets, or
an IPv6 address in brackets; then `:port` unless it is 25, then `/pri=N` unless it is 0. Reading a written text gives the
same routes.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable

from appliance_state.model.fields import bounds
from appliance_state.model.routes import ALL_DOMAINS, MAX_ROUTE_HOSTS, MAX_ROUTES, RouteHost, SmtpRoute
from appliance_state.table import Table
from commands.answers import hostname, integer, port
from commands.dialog import BLANK, Rejected
from commands.partial_domains import listing_order
from commands.table_files import ImportProblem

USEDNS = "USEDNS"
DISCARD = "/dev/null"

_DESTINATION = re.compile(r"(?:\[([^\[\]]*)\]|([^\[\]:/]+))(?::([^:/]*))?(?:/pri=(.*))?", re.IGNORECASE)
_DEFAULT_PORT = 25


def host_text(host: RouteHost) -> str:
    address = f"[{host.host}]" if host.force_address else host.host
    return address + (f":{host.port}" if host.port != _DEFAULT_PORT else "") + (f"/pri={host.priority}" if host.priority else "")


def hosts_text(route: SmtpRoute) -> str:
    """The destinations of a route, separated by commas."""
    match route.special:
        case "usedns":
            return USEDNS
        case "discard":
            return DISCARD
        case None:
            return ", ".join(host_text(host) for host in route.hosts)


def read_host(answer: str) -> RouteHost:
    """Errors: Rejected."""
    parts = _DESTINATION.fullmatch(answer)
    if not parts:
        return RouteHost(host=hostname(answer))
    bracketed, plain, number, priority = parts.groups()
    return RouteHost(
        host=_address(bracketed, v6=True) if bracketed is not None else _address(plain, v6=False),
        force_address=bracketed is not None,
        port=_DEFAULT_PORT if number is None else port(number),
        priority=0 if priority is None else _priority(priority),
    )


def _address(text: str, *, v6: bool) -> str:
    """A host name in lower case or an address."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return hostname(text)
    return str(address) if (address.version == 4 or v6) and "%" not in text else hostname(text)


def _priority(text: str) -> int:
    low, high = bounds(RouteHost, "priority")
    try:
        return integer(low, high)(text)
    except Rejected:
        raise Rejected(f"The priority must be an integer from {low} to {high}.") from None


def read_hosts(domain: str, answer: str) -> SmtpRoute:
    """The route of `domain` to the destinations of `answer`. Errors: Rejected."""
    parts = [part.strip() for part in answer.split(",")]
    if not all(parts):
        raise Rejected(BLANK)
    words = [part.casefold() for part in parts]
    if USEDNS.casefold() in words or DISCARD in words:
        if len(parts) > 1:
            raise Rejected(f"{USEDNS} and {DISCARD} must be used by themselves.")
        return SmtpRoute(domain=domain, special="discard" if words[0] == DISCARD else "usedns")
    if len(parts) > MAX_ROUTE_HOSTS:
        raise Rejected(f"Routes may not contain more than {MAX_ROUTE_HOSTS} destinations.")
    hosts = [read_host(part) for part in parts]
    known: set[tuple[str, bool, int]] = set()
    for host in hosts:
        place = (host.host, host.force_address, host.port)
        if place in known:
            raise Rejected(
                f"The host {host_text(RouteHost(host=host.host, force_address=host.force_address, port=host.port))} is listed twice."
            )
        known.add(place)
    return SmtpRoute(domain=domain, hosts=tuple(hosts))


def file_text(routes: Table[SmtpRoute]) -> str:
    """One line per route, sorted, `ALL` last."""
    ordered = sorted(routes.entries(), key=lambda route: (route.domain == ALL_DOMAINS, listing_order(route.domain)))
    return "".join(f"{route.domain} {hosts_text(route)}\n" for route in ordered)


def read_file(text: str, known: Table[SmtpRoute], read_domain: Callable[[str], str]) -> list[SmtpRoute]:
    """The routes of a file, to be added to `known`. Errors: ImportProblem, the first one."""
    read: dict[str, SmtpRoute] = {}
    room = MAX_ROUTES - len(known)
    for number, line in enumerate(text.split("\n"), start=1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        name, *rest = line.split(maxsplit=1)
        try:
            route = read_hosts(read_domain(name), rest[0] if rest else "")
            if route.domain in read:
                raise Rejected(f"The value {route.domain} is already in the routing table.")
            room -= route.domain not in known
            if room < 0:
                raise Rejected(f"There is a maximum of {MAX_ROUTES} routes.")
        except Rejected as rejection:
            raise ImportProblem(f"line {number}: {rejection}") from None
        read[route.domain] = route
    return list(read.values())
