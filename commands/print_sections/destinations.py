"""`print destinations` (print.md 3, 8)."""

from __future__ import annotations

from typing import Any

from appliance_runtime.sessions import Session
from appliance_state.model.destinations import DEFAULT_DOMAIN, Destination
from commands.destconfig.listing import entries, list_text
from commands.print_sections.layout import columns, profile_text

_WIDTH = 45


def destinations_text(session: Session) -> str:
    config = session.draft.config
    settings = config.destination_globals
    rows = [
        ("Certificate for outgoing TLS", profile_text(config, settings.certificate)),
        ("Alert when a required TLS connection fails", "Enabled" if settings.tls_alert else "Disabled"),
    ]
    heading = f"Destination Controls ({len(entries(config))})"
    return "\n\n".join([heading, list_text(config), "\n".join(columns(rows, _WIDTH))])


def destinations_json(session: Session) -> dict[str, Any]:
    config = session.draft.config
    default = config.destinations[DEFAULT_DOMAIN]
    return {
        "destinations": [_entry_json(entry, default) for entry in entries(config)],
        "default": _entry_json(default, default),
        "certificate": config.destination_globals.certificate,
        "tls_alert": config.destination_globals.tls_alert,
    }


def _entry_json(entry: Destination, default: Destination) -> dict[str, Any]:
    return {
        "domain": entry.domain,
        **_levels(entry),
        "bounce_profile": entry.bounce_profile,
        "effective": _levels(entry.over(default)),
    }


def _levels(entry: Destination) -> dict[str, str | None]:
    return {
        "tls_support": entry.tls_support.value if entry.tls_support is not None else None,
        "dane_support": entry.dane_support.value if entry.dane_support is not None else None,
    }
