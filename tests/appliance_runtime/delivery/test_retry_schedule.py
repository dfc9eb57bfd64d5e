"""Retry times and profiles as tables (routing.md 3, 5)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import accumulate

import pytest

from appliance_runtime.delivery.schedule import effective_profile, exhausted, pause, too_old
from appliance_state.model import Config
from appliance_state.model.bounces import FACTORY_BOUNCE_PROFILE, BounceProfile
from appliance_state.model.destinations import Destination
from appliance_state.table import evolve

NOW = datetime(2026, 3, 6, 9, 0, tzinfo=UTC)


def test_pauses_of_the_default_profile() -> None:
    pauses = [int(pause(FACTORY_BOUNCE_PROFILE, n).total_seconds()) for n in range(1, 10)]
    assert pauses == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
    assert list(accumulate(pauses))[:7] == [60, 180, 420, 900, 1860, 3780, 7380]


@pytest.mark.parametrize(
    ("initial", "maximum", "failures", "seconds"),
    [(60, 60, 1, 60), (60, 60, 5, 60), (1, 86400, 1, 1), (1, 86400, 17, 65536), (1, 86400, 18, 86400), (7, 100, 10_000, 100)],
)
def test_pauses(initial: int, maximum: int, failures: int, seconds: int) -> None:
    profile = BounceProfile(name="x", initial_retry=initial, max_retry_time=maximum)
    assert pause(profile, failures) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("retries", "failures", "expected"), [(0, 1, True), (2, 2, False), (2, 3, True), (100, 100, False), (100, 101, True)]
)
def test_number_of_retries(retries: int, failures: int, expected: bool) -> None:
    assert exhausted(BounceProfile(name="x", max_retries=retries), failures) is expected


@pytest.mark.parametrize(
    ("lifetime", "age", "expected"),
    [(100, 100, False), (100, 100.9, False), (100, 101, True), (0, 0, False), (0, 0.5, False), (0, 1, True)],
)
def test_age(lifetime: int, age: float, expected: bool) -> None:
    assert too_old(BounceProfile(name="x", max_queue_lifetime=lifetime), NOW, NOW + timedelta(seconds=age)) is expected


def test_which_profile() -> None:
    config = Config()
    profiles = config.bounce_profiles.put(BounceProfile(name="listener"), BounceProfile(name="partner"))
    config = config.with_(bounce_profiles=profiles)
    settings = Destination(domain="d.test")
    assert effective_profile(config, settings, "listener").name == "listener"
    assert effective_profile(config, evolve(settings, bounce_profile="partner"), "listener").name == "partner"
    assert effective_profile(config, settings, "deleted").name == "Default"


def test_what_is_left_open_comes_from_the_default() -> None:
    open_profile = BounceProfile(name="p", send_bounces=None, use_dsn_bounce_format=None, bounce_address="", max_bounce_copy=5)
    default = evolve(FACTORY_BOUNCE_PROFILE, send_bounces=False, use_dsn_bounce_format=True, bounce_address="b@c.test", max_bounce_copy=77)
    config = Config()
    config = config.with_(bounce_profiles=config.bounce_profiles.put(default, open_profile))
    found = effective_profile(config, Destination(domain="d.test"), "p")
    assert (found.send_bounces, found.use_dsn_bounce_format, found.bounce_address, found.max_bounce_copy) == (False, True, "b@c.test", 77)
    none = evolve(open_profile, bounce_address=None)
    config = config.with_(bounce_profiles=config.bounce_profiles.put(none))
    assert effective_profile(config, Destination(domain="d.test"), "p").bounce_address is None
