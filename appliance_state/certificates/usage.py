"""Who refers to a certificate profile, and for what the demo certificate serves (certconfig.md 2, 8; conventions.md 2)."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from appliance_state.certificates.profile_names import is_demo
from appliance_state.model import Config
from appliance_state.table import fold

PURPOSES = {"receiving": "receiving", "delivery": "delivery", "https": "HTTPS management access", "ldaps": "LDAPS"}
"""Purposes of a certificate, in the order in which the banners name them."""


@frozen
class Reference:
    """One use. `service`: receiving, https, delivery or ldaps; `name`: of the listener or interface; `certificate`: as referred to."""

    service: str
    name: str | None
    certificate: str

    def __str__(self) -> str:
        match self.service:
            case "receiving":
                return f'listener "{self.name}"'
            case "https":
                return f'HTTPS on interface "{self.name}"'
            case "delivery":
                return "delivery"
        return "LDAPS"


def references(config: Config) -> Iterator[Reference]:
    """Every reference that is in effect: listeners, HTTPS services that are on, delivery, LDAPS."""
    for listener in config.listeners.sorted():
        yield Reference("receiving", listener.name, listener.tls_certificate)
    for interface in config.interfaces.sorted():
        if interface.https_port is not None:
            yield Reference("https", interface.name, interface.https_certificate)
    yield Reference("delivery", None, config.destination_globals.certificate)
    yield Reference("ldaps", None, config.ldap.certificate)


def references_to(config: Config, profile: str) -> list[Reference]:
    return [reference for reference in references(config) if fold(reference.certificate) == fold(profile)]


def demo_purposes(config: Config) -> list[str]:
    """What the demo certificate serves for; `receiving` also while there is no listener."""
    services = {reference.service for reference in references(config) if is_demo(reference.certificate)}
    if not config.listeners:
        services.add("receiving")
    return [purpose for service, purpose in PURPOSES.items() if service in services]


def serves_alone(config: Config) -> bool:
    """One and the same profile, which is not Demo, serves for everything."""
    names = {fold(reference.certificate) for reference in references(config)}
    return len(names) == 1 and not demo_purposes(config)
