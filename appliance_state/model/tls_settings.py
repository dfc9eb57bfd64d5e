"""ssl: protocol versions and ciphers of all TLS contexts (model.md 3.6)."""

from __future__ import annotations

import itertools
from collections.abc import Container, Mapping, Set
from typing import Literal

from attrs import frozen

Service = Literal["gui", "inbound", "outbound"]
TLS_SERVICES: Mapping[Service, str] = {"gui": "GUI HTTPS", "inbound": "inbound SMTP", "outbound": "outbound SMTP"}
"""what the settings of a service are called in sentences, by the prefix of their fields"""

METHODS: Mapping[str, str] = {"tlsv1": "TLS v1.0", "tlsv1_1": "TLS v1.1", "tlsv1_2": "TLS v1.2", "tlsv1_3": "TLS v1.3"}
"""titles by name, oldest first"""
FACTORY_METHODS = frozenset({"tlsv1_2", "tlsv1_3"})
FACTORY_CIPHERS = "AES128:AES256:!SRP:!AESGCM+DH+aRSA:!AESGCM+RSA:!aNULL:!kRSA:@STRENGTH:-aNULL:-EXPORT:-IDEA"
LONGEST_CIPHERS = 4000


@frozen(kw_only=True)
class SslSettings:
    """Methods are a set that is not empty and has no gap; ciphers a string as OpenSSL reads it (ciphers(1))."""

    gui_methods: frozenset[str] = FACTORY_METHODS
    gui_ciphers: str = FACTORY_CIPHERS
    inbound_methods: frozenset[str] = FACTORY_METHODS
    inbound_ciphers: str = FACTORY_CIPHERS
    outbound_methods: frozenset[str] = FACTORY_METHODS
    outbound_ciphers: str = FACTORY_CIPHERS
    gui_renegotiation: bool = False
    inbound_renegotiation: bool = False
    other_client_tlsv10: bool = False
    peer_cert_fqdn: bool = False
    peer_cert_x509: bool = False

    def methods(self, service: Service) -> frozenset[str]:
        methods: frozenset[str] = getattr(self, f"{service}_methods")
        return methods

    def ciphers(self, service: Service) -> str:
        ciphers: str = getattr(self, f"{service}_ciphers")
        return ciphers

    @property
    def other_client_methods(self) -> frozenset[str]:
        """Of LDAPS, alert mail and updates. OpenSSL knows a range of versions only, so nothing between is left out."""
        if not self.other_client_tlsv10:
            return self.outbound_methods
        names = list(METHODS)
        newest = max(names.index(method) for method in {*self.outbound_methods, "tlsv1_1"})
        return frozenset(names[: newest + 1])


def ordered(methods: Container[str]) -> list[str]:
    """Known methods, oldest first."""
    return [method for method in METHODS if method in methods]


def service_title(service: Service) -> str:
    """What the settings of a service are called at the beginning of a line: `Inbound SMTP`."""
    name = TLS_SERVICES[service]
    return name[0].upper() + name[1:]


def method_value(methods: Set[str]) -> str:
    """As `sslconfig` and configuration files write a set: `tlsv1_2tlsv1_3`."""
    return "".join(ordered(methods))


def gap_problem(methods: Set[str]) -> str | None:
    """Why a set of methods cannot be enabled: something between two of them is missing."""
    names = list(METHODS)
    enabled = [names.index(method) for method in ordered(methods)]
    for older, newer in itertools.pairwise(enabled):
        if missing := names[older + 1 : newer]:
            between = " and ".join(f'"{METHODS[name]}"' for name in missing)
            verb = "is" if len(missing) == 1 else "are"
            pair = f'"{METHODS[names[older]]}" and "{METHODS[names[newer]]}"'
            return f"{pair} can be enabled together only if {between} {verb} enabled too."
    return None
