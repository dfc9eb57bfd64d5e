"""destconfig: what is asked of connections to recipient domains: limits, TLS level, bounce profile, address family (destconfig.md)."""

from __future__ import annotations

from commands.destconfig.batch import USAGE, batch
from commands.destconfig.listing import list_text
from commands.destconfig.operations import menu
from commands.registry import Command

__all__ = ["COMMAND", "list_text"]

COMMAND = Command(
    "destconfig",
    "Configure destination controls for mail delivery.",
    dialog=menu.run,
    batch=batch,
    needs_commit=True,
    usage=USAGE,
)
