"""delivery: system-wide limits and source interface of outgoing mail (model.md 3.9)."""

from __future__ import annotations

from attrs import frozen

from appliance_state.model.fields import number


@frozen(kw_only=True)
class DeliverySettings:
    interface: str = "Auto"
    possible_delivery: bool = True
    max_concurrency: int = number(1, 10000, default=10000)
    tls_max_concurrency: int = number(1, 10000, default=100)
