"""system: host name and time zone of the appliance (model.md 3.1)."""

from __future__ import annotations

from attrs import frozen


@frozen(kw_only=True)
class System:
    hostname: str = "mail.example.com"
    timezone: str = "GMT"
