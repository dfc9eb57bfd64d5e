"""`print alerts` (print.md 5, 8)."""

from __future__ import annotations

from typing import Any

from appliance_runtime.sessions import Session
from appliance_state.model.alerts import ALL, CLASSES, SEVERITIES
from commands.alertconfig import status_text


def alerts_text(session: Session) -> str:
    return f"Alerts\n\n{status_text(session.draft.config)}"


def alerts_json(session: Session) -> dict[str, Any]:
    alerts = session.draft.config.alerts
    return {
        "recipients": [
            {
                "address": recipient.address,
                "subscriptions": [
                    {"class": alert_class, "severity": severity} for alert_class, severity in sorted(recipient.subscriptions, key=_order)
                ],
            }
            for recipient in alerts.recipients.sorted()
        ],
        "initial_interval": alerts.initial_interval,
        "max_interval": alerts.max_interval,
        "stored_max": alerts.stored_max,
        "from_address": alerts.from_address,
    }


def _order(subscription: tuple[str, str]) -> tuple[int, int]:
    """The order of the lists of alertconfig."""
    alert_class, severity = subscription
    return (ALL, *CLASSES).index(alert_class), (ALL, *SEVERITIES).index(severity)
