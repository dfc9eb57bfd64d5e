"""Hosts and ports as they stand in URLs and Host headers (web-ui.md 1)."""

from __future__ import annotations

import ipaddress
import re

DEFAULT_PORTS = {"http": 80, "https": 443}

_AUTHORITY = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?\.?)(?::(?P<port>[0-9]{1,5}))?")


def authority(text: str | None) -> tuple[str, int | None] | None:
    """Host (as written) and port of a Host header; None when it is not syntactically a host name or an address."""
    match = _AUTHORITY.fullmatch(text or "")
    if match is None or ".." in match["host"]:
        return None
    if match["host"].startswith("["):
        try:
            ipaddress.IPv6Address(match["host"][1:-1])
        except ValueError:
            return None
    port = int(match["port"]) if match["port"] else None
    return None if port is not None and not 1 <= port <= 65535 else (match["host"], port)


def host_and_port(address: str, port: int, scheme: str = "") -> str:
    """An address as in a URL: IPv6 in brackets, the port only when it is not the scheme's own."""
    host = f"[{address}]" if ":" in address and not address.startswith("[") else address
    return host if port == DEFAULT_PORTS.get(scheme) else f"{host}:{port}"
