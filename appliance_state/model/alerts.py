"""alerts: who is told about what, and how often (model.md 3.14)."""

from __future__ import annotations

from typing import ClassVar

from attrs import frozen

from appliance_state.model.fields import number
from appliance_state.table import Table

CLASSES = (
    "System",
    "Hardware",
    "Updater",
    "Outbreak Filters",
    "Anti-Virus",
    "Anti-Spam",
    "Directory Harvest Attack Prevention",
    "AMP",
    "Release and Support Notifications",
    "Message Delivery",
)
SEVERITIES = ("Critical", "Warning", "Information")
ALL = "All"


@frozen(kw_only=True)
class AlertRecipient:
    KEY: ClassVar[str] = "address"

    address: str
    subscriptions: frozenset[tuple[str, str]] = frozenset({(ALL, ALL)})
    """pairs of (class, severity); each may be All"""

    def wants(self, alert_class: str, severity: str) -> bool:
        """Whether this recipient subscribes to alerts of that class and severity."""
        return any(c in (ALL, alert_class) and s in (ALL, severity) for c, s in self.subscriptions)


@frozen(kw_only=True)
class Alerts:
    recipients: Table[AlertRecipient] = Table()
    initial_interval: int = number(0, 86400, default=300)
    """seconds; 0 = no suppression of duplicates"""
    max_interval: int = number(0, 86400, default=3600)
    """seconds"""
    stored_max: int = number(0, 500, default=50)
    from_address: str | None = None
    """None = alert@<host name of the appliance>"""
