"""When a recipient is tried again, and when no more (routing.md 5). Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from attrs import evolve

from appliance_state.model import Config
from appliance_state.model.bounces import DEFAULT_PROFILE, BounceProfile
from appliance_state.model.destinations import Destination

LONGEST_DOUBLING = 20
"""2^20 seconds are more than any maximum"""
SECOND = timedelta(seconds=1)
DEFAULT_ADDRESS = ""
"""an alternate address that is the one of `Default`"""
_INHERITED = ("send_bounces", "use_dsn_bounce_format", "use_bounce_response_code", "send_warnings")


def pause(profile: BounceProfile, failures: int) -> timedelta:
    """From the end of attempt number `failures` (1 = the first one), which failed, to the next one."""
    seconds = profile.initial_retry * 2 ** min(failures - 1, LONGEST_DOUBLING)
    return timedelta(seconds=min(seconds, profile.max_retry_time))


def exhausted(profile: BounceProfile, failures: int) -> bool:
    """Whether attempt 1 + max_retries has failed: a hard bounce at once."""
    return failures > profile.max_retries


def too_old(profile: BounceProfile, received: datetime, now: datetime) -> bool:
    """Whether an attempt that becomes due now is a hard bounce instead. In whole seconds, as all times of retries."""
    return (now - received) // SECOND > profile.max_queue_lifetime


def effective_profile(config: Config, settings: Destination, of_message: str) -> BounceProfile:
    """The destination's profile, else that of the message, else `Default`; what is left open there comes from `Default`."""
    profiles = config.bounce_profiles
    default = profiles[DEFAULT_PROFILE]
    profile = profiles.get(settings.bounce_profile or of_message) or default
    if profile is default:
        return default
    changes: dict[str, Any] = {name: getattr(default, name) for name in _INHERITED if getattr(profile, name) is None}
    if profile.bounce_address == DEFAULT_ADDRESS:
        changes["bounce_address"] = default.bounce_address
    return evolve(profile, max_bounce_copy=default.max_bounce_copy, **changes)
