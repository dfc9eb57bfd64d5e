"""The first start of a state directory: factory configuration, the passphrase of `admin`, serial number, demo certificate."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from pathlib import Path

from appliance_runtime.addresses import AddressMap
from appliance_runtime.services import endpoints
from appliance_state.model import Config
from appliance_state.model.dns import Dns, DnsServer
from appliance_state.table import Table

_ALPHABET = "".join(c for c in "abcdefghijklmnopqrstuvwxyz23456789" if c not in "loi")
WELL_KNOWN = frozenset({"", "ironport", "admin", "cisco", "password"})
FALLBACK_DNS = "127.0.0.1"


def generated_passphrase() -> str:
    """20 characters in four groups, from the system's random source."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(5)) for _ in range(4))


def well_known(passphrase: str, hostname: str) -> bool:
    """A passphrase that anybody would try first."""
    return passphrase.casefold() in WELL_KNOWN | {hostname.casefold(), "admin"}


def reachable_management(config: Config, address_map: AddressMap) -> bool:
    """Whether a management service would listen on an address outside the loopback ranges."""
    places = (address_map.listen(*e.logical).address for e in endpoints(config) if e.service != "smtp")
    return any(not (address.startswith("127.") or address == "::1") for address in places)


def host_name_servers(path: Path = Path("/etc/resolv.conf")) -> list[str]:
    """The name servers of the host system."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return []
    return [words[1].partition("%")[0] for line in lines if len(words := line.split()) >= 2 and words[0] == "nameserver"]


def parse_server(text: str) -> DnsServer:
    """`ADDR`, `ADDR:PORT` or `[IPv6]:PORT`."""
    if text.startswith("["):
        address, _, port = text[1:].partition("]")
        return DnsServer(address=address, port=int(port.removeprefix(":") or 53))
    if text.count(":") == 1:
        address, _, port = text.partition(":")
        return DnsServer(address=address, port=int(port))
    return DnsServer(address=text)


def factory_config(dns_servers: Iterable[str] = ()) -> Config:
    """Generation 1. `dns_servers`: those of the start option; else those of the host system."""
    servers = list(dns_servers) or host_name_servers() or [FALLBACK_DNS]
    return Config(dns=Dns(servers=Table(parse_server(text) for text in servers)))
