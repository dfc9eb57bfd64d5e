"""Server profiles as operators see them: rows, the block of one, where it is (ldapconfig.md 2, 4)."""

from __future__ import annotations

from appliance_state.model import Config
from appliance_state.model.ldap import LdapServer

NO_SERVERS = "No LDAP server configurations."


def unknown_server(name: str) -> str:
    return f'There is no server configuration named "{name}".'


def places(server: LdapServer) -> str:
    """`ldap.example.com:636`; several hosts with commas."""
    return ", ".join(f"[{host}]:{server.port}" if ":" in host else f"{host}:{server.port}" for host in server.hostnames)


def server_rows(config: Config) -> list[str]:
    """`1. PublicLDAP: (ldap.example.com:636)`."""
    return [f"{n}. {server.name}: ({places(server)})" for n, server in enumerate(config.ldap.servers.sorted(), start=1)]


def server_block(server: LdapServer) -> str:
    """All settings but the bind user and its passphrase."""
    return "\n".join(
        [
            f"Name: {server.name}",
            f"Hostname: {', '.join(server.hostnames)} Port {server.port}",
            f"Server Type: {server.server_type.label}",
            f"SSL: {'Yes' if server.use_ssl else 'No'}",
            f"Authentication Type: {server.auth_type.label.lower()}",
            f"Base: {base_text(server.base)}",
        ]
    )


def base_text(base: str) -> str:
    """A base as it is typed; the empty one needs its quotes."""
    return base or '""'
