"""ldap, ldap.servers: server profiles and what all of them share (model.md 3.13). No query of mail ever reaches a directory."""

from __future__ import annotations

from typing import ClassVar

from attrs import frozen

from appliance_state.model.certificates import SecretRef
from appliance_state.model.fields import Choice, number, text
from appliance_state.model.interfaces import DEMO
from appliance_state.table import Table

AUTO = "Auto"
SERVER_NAME = r"[A-Za-z0-9_-]{1,63}"


class LdapAuth(Choice):
    ANONYMOUS = "anonymous", "Anonymous"
    PASSWORD = "password", "Password based"


class LdapServerType(Choice):
    ACTIVE_DIRECTORY = "active_directory", "Active Directory"
    OPENLDAP = "openldap", "OpenLDAP"
    UNKNOWN = "unknown", "Unknown Server Type"

    def port(self, use_ssl: bool) -> int:
        """The standard port."""
        if self is LdapServerType.ACTIVE_DIRECTORY:
            return 3269 if use_ssl else 3268
        return 636 if use_ssl else 389


@frozen(kw_only=True)
class LdapServer:
    """`hostnames`: names or addresses, tried in order. `bind_user`, `bind_passphrase`: only with PASSWORD. `base`: empty = root DSE."""

    KEY: ClassVar[str] = "name"

    name: str = text(SERVER_NAME)
    hostnames: tuple[str, ...]
    port: int = number(1, 65535, default=389)
    use_ssl: bool = False
    auth_type: LdapAuth = LdapAuth.ANONYMOUS
    bind_user: str = ""
    bind_passphrase: SecretRef | None = None
    server_type: LdapServerType = LdapServerType.UNKNOWN
    base: str = ""


@frozen(kw_only=True)
class Ldap:
    interface: str = AUTO
    """name of the interface that connections come from; Auto = left to the system"""
    certificate: str = DEMO
    """client certificate of LDAPS connections"""
    validate_server_certificate: bool = False
    servers: Table[LdapServer] = Table()
