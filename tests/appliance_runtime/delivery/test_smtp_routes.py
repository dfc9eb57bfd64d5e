"""Routes, as a table (delivery.md 2.1), and their order."""

from __future__ import annotations

import pytest

from appliance_runtime.delivery.exchangers import literal
from appliance_runtime.delivery.routes import in_turn, route_for
from appliance_state.model.routes import RouteHost, SmtpRoute
from appliance_state.table import Table

DOMAINS = ("example.com", ".example.com", ".deep.example.com", "ALL")


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        ("example.com", "example.com"),
        ("sub.example.com", ".example.com"),
        ("a.deep.example.com", ".deep.example.com"),
        ("deep.example.com", ".example.com"),
        ("notexample.com", "ALL"),
        ("all", "ALL"),
        ("com", "ALL"),
    ],
)
def test_most_specific_route(domain: str, expected: str) -> None:
    route = route_for(domain, Table(SmtpRoute(domain=name, special="usedns") for name in DOMAINS))
    assert route is not None and route.domain == expected


def test_no_route() -> None:
    assert route_for("example.org", Table([SmtpRoute(domain="example.com", special="usedns")])) is None


def test_priorities_first_then_turns() -> None:
    hosts = [RouteHost(host="c", priority=10), RouteHost(host="a"), RouteHost(host="b"), RouteHost(host="d", priority=10)]
    assert ["".join(host.host for host in in_turn(hosts, turn)) for turn in range(4)] == ["abcd", "badc", "abcd", "badc"]


@pytest.mark.parametrize(
    ("domain", "address"),
    [("[192.0.2.1]", "192.0.2.1"), ("[IPv6:2001:db8::1]", "2001:db8::1"), ("[ipv6:::1]", "::1"), ("192.0.2.1", None), ("[x.test]", None)],
)
def test_domain_literals(domain: str, address: str | None) -> None:
    assert literal(domain) == address
