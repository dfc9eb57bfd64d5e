"""smtp_routes: where mail for a domain goes in place of its mail exchangers (model.md 3.11)."""

from __future__ import annotations

from typing import ClassVar, Literal

from attrs import frozen

from appliance_state.model.fields import number

MAX_ROUTES = 40_000
MAX_ROUTE_HOSTS = 100
ALL_DOMAINS = "ALL"


@frozen(kw_only=True)
class RouteHost:
    host: str
    """host name or IP address, without brackets"""
    force_address: bool = False
    """written in brackets: address records only, no MX"""
    port: int = number(1, 65535, default=25)
    priority: int = number(0, 65535, default=0)
    """0 = highest"""


@frozen(kw_only=True)
class SmtpRoute:
    KEY: ClassVar[str] = "domain"

    domain: str
    """domain, partial domain `.suffix`, or ALL"""
    special: Literal["usedns", "discard"] | None = None
    hosts: tuple[RouteHost, ...] = ()
