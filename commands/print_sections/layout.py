"""What the sections of `print` have in common: columns, names of profiles, times."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from appliance_state.certificates.profile_names import is_demo
from appliance_state.model import Config

INSECURE_DEMO = "Demo (not secure)"
NONE = "-"


def columns(rows: Iterable[tuple[str, str]], width: int) -> list[str]:
    """Labels and values; an empty label continues the row before. `width`: where the values start."""
    return [f"{f'{label}:' if label else '':{width}}{value}" for label, value in rows]


def profile_text(config: Config, reference: str) -> str:
    """A certificate that is referred to: `mail`, `Demo (not secure)`, `mailcert (missing)`."""
    if is_demo(reference):
        return INSECURE_DEMO
    profile = config.certificates.get(reference)
    return profile.name if profile else f"{reference} (missing)"


def iso_time(moment: datetime) -> str:
    """`2026-11-24T02:25:12Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
