"""Which SMTP route governs a domain (delivery.md 2.1). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from appliance_state.model.routes import ALL_DOMAINS, RouteHost, SmtpRoute
from appliance_state.table import Table


def route_for(domain: str, routes: Table[SmtpRoute]) -> SmtpRoute | None:
    """Exact domain, longest partial domain, ALL. What a route leads to is never looked up again."""
    if domain in routes and domain.upper() != ALL_DOMAINS:
        return routes[domain]
    rest = domain
    while "." in rest:
        rest = rest.split(".", 1)[1]
        if f".{rest}" in routes:
            return routes[f".{rest}"]
    return routes.get(ALL_DOMAINS)


def in_turn(hosts: Sequence[RouteHost], turn: int) -> list[RouteHost]:
    """By ascending priority number; equal ones begin with another one at each turn."""
    ordered: list[RouteHost] = []
    for _, group in groupby(sorted(hosts, key=lambda host: host.priority), key=lambda host: host.priority):
        equals = list(group)
        start = turn % len(equals)
        ordered += equals[start:] + equals[:start]
    return ordered
