"""`print interfaces` (print.md 4, 8)."""

from __future__ import annotations

from typing import Any

from appliance_runtime.sessions import Session
from appliance_state.model.interfaces import SERVICES, Interface
from commands.interfaces import interface_rows
from commands.print_sections.layout import NONE, columns, profile_text

_WIDTH = 14
_INDENT = " " * 5


def interfaces_text(session: Session) -> str:
    config = session.draft.config
    interfaces = config.interfaces.sorted()
    blocks = []
    for row, interface in zip(interface_rows(config), interfaces, strict=True):
        rows = [("Services", _services(interface))]
        if interface.https_port is not None:
            rows.append(("Certificate", profile_text(config, interface.https_certificate)))
        blocks.append("\n".join([row, *(f"{_INDENT}{line}" for line in columns(rows, _WIDTH))]))
    return "\n\n".join([f"IP Interfaces ({len(blocks)})", *blocks])


def _services(interface: Interface) -> str:
    """`SSH 22, HTTP 80 (redirected to HTTPS), HTTPS 443`."""
    redirected = interface.https_redirect and interface.https_port is not None
    found = []
    for word, label, _ in SERVICES:
        port = interface.service_port(word)
        if port is not None:
            found.append(f"{label} {port}{' (redirected to HTTPS)' if word == 'http' and redirected else ''}")
    return ", ".join(found) or NONE


def interfaces_json(session: Session) -> dict[str, Any]:
    return {"interfaces": [_interface_json(interface) for interface in session.draft.config.interfaces.sorted()]}


def _interface_json(interface: Interface) -> dict[str, Any]:
    ports = {word: interface.service_port(word) for word, _, _ in SERVICES}
    return {
        "name": interface.name,
        "ipv4": f"{interface.ipv4}/{interface.ipv4_prefix}" if interface.ipv4 else None,
        "ipv6": f"{interface.ipv6}/{interface.ipv6_prefix}" if interface.ipv6 else None,
        "ethernet": interface.ethernet,
        "hostname": interface.hostname,
        "services": {word: port for word, port in ports.items() if port is not None},
        "https_redirect": interface.https_redirect,
        "https_certificate": interface.https_certificate,
    }
