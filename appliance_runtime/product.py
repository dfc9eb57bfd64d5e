"""Emulated data of the product: model, version, build and serial number. They change no behaviour and no wording."""

from __future__ import annotations

import secrets
import string

from attrs import frozen

BUILD_DATE = "2024-03-12"


@frozen(kw_only=True)
class Product:
    model: str = "C100V"
    version: str = "15.5.1"
    build: str = "055"
    serial: str = "000F1F6ACFA6-2Y5SQ41"

    @property
    def full_version(self) -> str:
        return f"{self.version}-{self.build}"

    @property
    def kind(self) -> str:
        """Name of the product line: models that end in V are virtual."""
        return "Email Security Virtual Appliance" if self.model.endswith("V") else "Email Security Appliance"


def new_serial() -> str:
    """20 characters: 12 hexadecimal digits, `-`, 7 of A-Z and 0-9."""
    alphabet = string.ascii_uppercase + string.digits
    return f"{secrets.token_hex(6).upper()}-{''.join(secrets.choice(alphabet) for _ in range(7))}"
