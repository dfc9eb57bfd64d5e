"""Who uses a certificate profile, in the operator's words (certconfig.md 8)."""

from __future__ import annotations

from appliance_state.certificates.usage import references_to
from appliance_state.model import Config


def used_by(config: Config, name: str) -> list[str]:
    """`listener "L"`, `HTTPS on interface "I"`, `delivery`, `LDAPS`, in this order."""
    return [str(reference) for reference in references_to(config, name)]


def used_by_text(config: Config, name: str) -> str:
    return ", ".join(used_by(config, name)) or "-"
