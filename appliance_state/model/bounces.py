"""bounce_profiles: how often delivery is retried and what the sender is told (model.md 3.12)."""

from __future__ import annotations

from typing import ClassVar

from attrs import frozen

from appliance_state.model.fields import number, text

DEFAULT_PROFILE = "Default"
BOUNCE_PROFILE_NAME = r"[A-Za-z_][A-Za-z0-9_-]{0,62}"


@frozen(kw_only=True)
class BounceProfile:
    """A yes/no field that is None takes the value of the profile `Default` at the time of use."""

    KEY: ClassVar[str] = "name"

    name: str = text(BOUNCE_PROFILE_NAME)
    max_retries: int = number(0, 10000, default=100)
    max_queue_lifetime: int = number(0, 3000000, default=259200)
    """seconds"""
    initial_retry: int = number(1, 86400, default=60)
    """seconds"""
    max_retry_time: int = number(1, 86400, default=3600)
    """seconds"""
    send_bounces: bool | None = True
    use_dsn_bounce_format: bool | None = True
    bounce_subject: str = "Delivery Status Notification (Failure)"
    use_bounce_response_code: bool | None = False
    send_warnings: bool | None = False
    delay_subject: str = "Delivery Status Notification (Delay)"
    send_warnings_interval: int = number(60, 3000000, default=14400)
    send_warnings_count: int = number(1, 100, default=1)
    bounce_address: str | None = None
    max_bounce_copy: int = number(0, 1000000, default=10240)
    """bytes; only that of `Default` counts"""


FACTORY_BOUNCE_PROFILE = BounceProfile(name=DEFAULT_PROFILE)
