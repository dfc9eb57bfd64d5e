"""interfaces, interface_groups: addresses, host names and management services (model.md 3.2)."""

from __future__ import annotations

from typing import ClassVar

from attrs import field, frozen

from appliance_state.model.fields import number, text

DEMO = "Demo"
"""Value of a certificate reference that means the appliance's own demo certificate, which is no entry."""

INTERFACE_NAME = r"[A-Za-z0-9 ._-]{1,64}"
MAX_INTERFACES = 32
ETHERNETS = ("Data 1", "Data 2", "Management")

SERVICES: tuple[tuple[str, str, int], ...] = (
    ("ssh", "SSH", 22),
    ("ccs", "Cluster Communication Service", 2222),
    ("http", "HTTP", 80),
    ("https", "HTTPS", 443),
)
"""Management services in the order of the dialog: word, label, port that is offered when it is switched on."""


@frozen(kw_only=True)
class Interface:
    KEY: ClassVar[str] = "name"

    name: str = text(INTERFACE_NAME)
    uid: str = ""
    ipv4: str | None = None
    ipv4_prefix: int = number(0, 32, default=24)
    ipv6: str | None = None
    ipv6_prefix: int = number(0, 128, default=64)
    ethernet: str = "Data 1"
    hostname: str = ""
    ssh_port: int | None = number(1, 65535, default=None, inherits=True)
    ccs_port: int | None = number(1, 65535, default=None, inherits=True)
    http_port: int | None = number(1, 65535, default=None, inherits=True)
    https_port: int | None = number(1, 65535, default=None, inherits=True)
    https_redirect: bool = True
    https_certificate: str = DEMO

    @property
    def addresses(self) -> tuple[str, ...]:
        """Its addresses, IPv4 first."""
        return tuple(address for address in (self.ipv4, self.ipv6) if address)

    def service_port(self, service: str) -> int | None:
        """Port of `ssh`, `ccs`, `http` or `https`; None = off."""
        port: int | None = getattr(self, f"{service}_port")
        return port


FACTORY_INTERFACE = Interface(
    name="Management",
    uid="interface-1",
    ipv4="192.168.42.42",
    ethernet="Management",
    hostname="mail.example.com",
    ssh_port=22,
    http_port=80,
    https_port=443,
)


@frozen(kw_only=True)
class InterfaceGroup:
    KEY: ClassVar[str] = "name"

    name: str = text(INTERFACE_NAME)
    members: frozenset[str] = field(default=frozenset())
