"""Texts of the alerts that several parts raise (logs-and-alerts.md 7.2): arguments of `Alerts.raise_`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

Raise = Callable[[str, str, str, str, str], None]
"""`Alerts.raise_`: alert id, duplicate key, class, severity, text"""


def disk_full(path: Path, what: str) -> tuple[str, str, str, str, str]:
    """`path`: where writing failed; the file system is named by the place where it is mounted."""
    place = path.absolute()
    while not place.is_mount() and place != place.parent:
        place = place.parent
    return "disk.full", str(place), "System", "Critical", f"The file system {place} is full; {what} cannot be written."


def queue_corrupt(file: str) -> tuple[str, str, str, str, str]:
    """`file`: its name below the queue directory."""
    text = f"A message file of the queue could not be read and was set aside: {file}"
    return "queue.corrupt", file, "System", "Critical", text
