"""How the parts of the configuration compare: shared by `diff` and `merge` (commit.md 3).

A value is one of: a table of named entries, an ordered list of entries with an identity, a set, a frozen value whose
fields are compared one by one, or a single value. Key material and lists without identity are single values.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import attrs

from appliance_state.certificates.names import COMMON_NAME, names_of, shown, value_of
from appliance_state.certificates.pem import NotReadable, read_certificate
from appliance_state.model.certificates import KeyMaterial, SecretRef
from appliance_state.model.fields import Choice

NOUNS: Mapping[str, str] = {
    "system": "system",
    "interfaces": "interface",
    "interface_groups": "interface group",
    "dns": "DNS",
    "certificates": "certificate",
    "certificate_authorities": "certificate authorities",
    "crl": "CRL settings",
    "crl_sources": "CRL source",
    "ssl": "SSL settings",
    "listeners": "listener",
    "listener_globals": "listener settings",
    "delivery": "delivery settings",
    "destinations": "destination",
    "destination_globals": "destination settings",
    "smtp_routes": "SMTP route",
    "bounce_profiles": "bounce profile",
    "ldap": "LDAP",
    "alerts": "alert settings",
    "logs": "log subscription",
    "log_globals": "log settings",
    "updates": "update settings",
    "users": "user",
    "user_policy": "user",
    "admin_access": "administrative access",
}
"""What an object of a section is called in reports."""

INTERNAL = frozenset({"uid"})
"""Fields that operators never see."""


def is_record(value: object) -> bool:
    """A frozen value that is compared field by field."""
    return attrs.has(type(value)) and not isinstance(value, (KeyMaterial, SecretRef))


def is_sequence(value: object) -> bool:
    """An ordered list of entries that have an identity."""
    return isinstance(value, tuple) and all(hasattr(item, "identity") or hasattr(item, "KEY") for item in value)


def identity(entry: Any) -> str:
    """What an entry of an ordered list is recognised by."""
    own = getattr(entry, "identity", None)
    return str(own if own is not None else getattr(entry, entry.KEY)).casefold()


def title(entry: Any) -> str:
    """What an entry is called in a report."""
    own = getattr(entry, "identity", None)
    return str(own if own is not None else getattr(entry, entry.KEY))


def key(entry: Any) -> str:
    """What an entry of a table is recognised by in a merge: its internal id, which survives renaming, else its name."""
    return getattr(entry, "uid", "") or str(getattr(entry, entry.KEY)).casefold()


def certificate_text(pem: str) -> str:
    """`certificate CN=mail.partner.com, serial 0A1B`: how key material appears in reports."""
    try:
        names = names_of(read_certificate(pem))
    except NotReadable:
        return "certificate (unreadable)"
    serial = f"{names.serial:X}"
    return f"certificate CN={shown(value_of(names.subject, COMMON_NAME))}, serial {serial.zfill(len(serial) + len(serial) % 2)}"


def label(value: Any) -> str:
    """A single value in the operator's words; secrets are never shown."""
    match value:
        case None:
            return "(not set)"
        case SecretRef():
            return "(set)"
        case KeyMaterial():
            return certificate_text(value.certificate)
        case Choice():
            return value.label
        case StrEnum():
            return value.value
        case bool():
            return "Yes" if value else "No"
        case tuple() if len(value) == 2 and all(isinstance(part, str) for part in value):
            return f"{value[0]}/{value[1]}"
        case tuple():
            return ", ".join(label(item) for item in value) if value else "(not set)"
        case str() if value.startswith("-----BEGIN CERTIFICATE-----"):
            return certificate_text(value)
        case _ if attrs.has(type(value)):
            return " ".join(label(getattr(value, f.name)) for f in attrs.fields(type(value)) if getattr(value, f.name) is not None)
    return str(value)


def quoted(value: object) -> str:
    """`label` as a value in `showchanges`: texts in quotes, numbers and remarks bare."""
    bare = value is None or (isinstance(value, (int, SecretRef, KeyMaterial)) and not isinstance(value, bool))
    return label(value) if bare or label(value).startswith("certificate ") else f'"{label(value)}"'
