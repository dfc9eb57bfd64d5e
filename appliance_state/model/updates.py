"""updates: where the bundle of trusted roots is updated from (model.md 3.16)."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import attrs
from attrs import frozen

from appliance_state.model.certificates import SecretRef

AUTO = "Auto"
NEVER = 0
MIN_INTERVAL, MAX_INTERVAL = 30, 30 * 86400


class UpdateSource(StrEnum):
    PACKAGED = "packaged"
    SERVER = "server"


def _check_interval(_: object, __: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, int) or (value != NEVER and not MIN_INTERVAL <= value <= MAX_INTERVAL):
        raise ValueError("interval has an invalid value.")


def _check_url(_: object, __: attrs.Attribute[Any], value: object) -> None:
    if isinstance(value, str) and not (value.startswith(("http://", "https://")) and value.endswith("/")):
        raise ValueError("server_url has an invalid value.")


@frozen(kw_only=True)
class Updates:
    """`server_url`: ends in `/`; one that holds a passphrase is a secret as a whole."""

    source: UpdateSource = UpdateSource.PACKAGED
    server_url: str | SecretRef | None = attrs.field(default=None, validator=_check_url)
    interval: int = attrs.field(default=300, validator=_check_interval)
    """seconds between checks; 0 = never"""
    interface: str = AUTO
    validate_certificates: bool = True
    trusted_certificates: tuple[str, ...] = ()
    """PEM texts, one certificate each, unique by SHA-256"""
