"""Alerts: what went wrong, told to those who subscribed to it, and not more often than they wish (alertconfig.md 3 to 6)."""

from appliance_runtime.alerts.raising import Alerts

__all__ = ["Alerts"]
