"""users, user_policy, admin_access: accounts and access (model.md 3.17)."""

from __future__ import annotations

from typing import ClassVar

from attrs import frozen

from appliance_state.model.certificates import SecretRef
from appliance_state.model.fields import Choice, number, text


class Role(Choice):
    ADMIN = "admin", "Administrators"
    OPERATOR = "operator", "Operators"
    READONLY = "readonly", "Read-Only Operators"
    GUEST = "guest", "Guests"
    TECHNICIAN = "technician", "Technicians"
    HELPDESK = "helpdesk", "Help Desk Users"


@frozen(kw_only=True)
class User:
    KEY: ClassVar[str] = "name"

    name: str = text(r"[a-z][a-z0-9_-]{0,31}")
    full_name: str = ""
    role: Role = Role.ADMIN
    passphrase: SecretRef | None = None
    """sealed Argon2id hash"""
    enabled: bool = True
    authorized_keys: frozenset[str] = frozenset()
    """public keys in OpenSSH form"""


FACTORY_USER = User(name="admin", full_name="Administrator")


@frozen(kw_only=True)
class UserPolicy:
    min_length: int = number(1, 128, default=8)
    lock_after_failures: int = number(0, 60, default=5)
    """consecutive failed passphrase logins; 0 = never"""


@frozen(kw_only=True)
class AdminAccess:
    cli_timeout: int = number(5, 1440, default=30)
    """minutes"""
    gui_timeout: int = number(5, 1440, default=30)
    """minutes"""
