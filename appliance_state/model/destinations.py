"""destinations, destination_globals: what is asked of a connection to a recipient domain (model.md 3.10)."""

from __future__ import annotations

from typing import ClassVar

import attrs
from attrs import frozen

from appliance_state.model.fields import Choice, number
from appliance_state.model.interfaces import DEMO
from appliance_state.table import Table

DEFAULT_DOMAIN = "DEFAULT"


class TlsSupport(Choice):
    """The six TLS levels, in ascending order of the vendor's list."""

    NO = "no", "No"
    PREFERRED = "preferred", "Preferred"
    REQUIRED = "required", "Required"
    PREFERRED_VERIFY = "preferred_verify", "Preferred - Verify"
    REQUIRED_VERIFY = "required_verify", "Required - Verify"
    REQUIRED_VERIFY_HOSTED = "required_verify_hosted", "Required - Verify Hosted Domains"

    @property
    def level(self) -> int:
        """1 to 6, the number in the CLI's list."""
        return _LEVELS[self]

    @property
    def required(self) -> bool:
        """Nothing is sent without TLS (levels 3, 5, 6)."""
        return self.level in (3, 5, 6)

    @property
    def verifies(self) -> bool:
        """The peer's certificate is verified (levels 4, 5, 6)."""
        return self.level >= 4


_LEVELS = {support: level for level, support in enumerate(TlsSupport, 1)}


class DaneSupport(Choice):
    NO = "no", "No"
    OPPORTUNISTIC = "opportunistic", "Opportunistic"
    MANDATORY = "mandatory", "Mandatory"


class LimitType(Choice):
    HOST = "host", "One limit applies to the entire domain"
    MXIP = "mxip", "Separate limit for each mail exchanger IP address"


class LimitApply(Choice):
    SYSTEM = "system", "System Wide"


class IpSortPref(Choice):
    PREFER_V4 = "prefer_v4", "Prefer IPv4"
    PREFER_V6 = "prefer_v6", "Prefer IPv6"
    REQUIRE_V4 = "require_v4", "Require IPv4"
    REQUIRE_V6 = "require_v6", "Require IPv6"


@frozen(kw_only=True)
class Destination:
    """An entry of the destination controls, or the `DEFAULT` entry. None = inherit from `DEFAULT`.

    `DEFAULT` has a value everywhere, except for `recipient_limit` and `recipient_minutes` (None = no limit) and
    `bounce_profile` (None = the listener's).
    """

    KEY: ClassVar[str] = "domain"

    domain: str
    max_host_concurrency: int | None = number(0, 1000, default=None, inherits=True)
    """0 = unlimited, only in DEFAULT"""
    max_messages_per_connection: int | None = number(1, 1000, default=None, inherits=True)
    recipient_limit: int | None = number(0, 1000000000, default=None, inherits=True)
    recipient_minutes: int | None = number(1, 60, default=None, inherits=True)
    limit_type: LimitType | None = None
    limit_apply: LimitApply | None = None
    tls_support: TlsSupport | None = None
    dane_support: DaneSupport | None = None
    bounce_profile: str | None = None
    ip_sort_pref: IpSortPref | None = None

    def over(self, default: Destination) -> Destination:
        """This entry with inherited fields filled from `default`. DANE is off while the TLS level is No."""
        own = {f.name: value for f in attrs.fields(Destination) if (value := getattr(self, f.name)) is not None}
        effective = attrs.evolve(default, **own)
        return attrs.evolve(effective, dane_support=DaneSupport.NO) if effective.tls_support is TlsSupport.NO else effective


FACTORY_DEFAULT = Destination(
    domain=DEFAULT_DOMAIN,
    max_host_concurrency=500,
    max_messages_per_connection=50,
    limit_type=LimitType.HOST,
    limit_apply=LimitApply.SYSTEM,
    tls_support=TlsSupport.NO,
    dane_support=DaneSupport.NO,
    ip_sort_pref=IpSortPref.PREFER_V6,
)


@frozen(kw_only=True)
class DestinationGlobals:
    certificate: str = DEMO
    """client certificate of all outgoing TLS"""
    tls_alert: bool = False


def most_specific(domain: str, known: Table[Destination]) -> Destination | None:
    """Entry of the exact domain, else of the longest partial domain `.suffix`; None = only DEFAULT applies.

    A partial domain matches sub-domains only (delivery.md 1).
    """
    name = domain.lower()
    if name in known and name.upper() != DEFAULT_DOMAIN:
        return known[name]
    while "." in name:
        name = name.split(".", 1)[1]
        if f".{name}" in known:
            return known[f".{name}"]
    return None


def effective_destination(domain: str, destinations: Table[Destination]) -> Destination:
    """What governs mail to `domain`, every field filled."""
    default = destinations[DEFAULT_DOMAIN]
    entry = most_specific(domain, destinations)
    return entry.over(default) if entry else default.over(default)
