"""Places and windows (delivery.md 2.3)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from appliance_runtime.delivery.limits import Slots, Windows
from appliance_state.model.destinations import FACTORY_DEFAULT, Destination, LimitType
from appliance_state.table import evolve

NOW = datetime(2026, 3, 6, 9, 0, tzinfo=UTC)


async def test_places_are_given_in_order_and_follow_the_limit() -> None:
    limit = [1]
    called: list[int] = []
    slots = Slots(lambda: limit[0], lambda: called.append(1))
    await slots.take("d")
    order: list[str] = []

    async def take(name: str) -> None:
        await slots.take("d")
        order.append(name)

    tasks = [asyncio.ensure_future(take(name)) for name in "abc"]
    await asyncio.sleep(0)
    assert (slots.held, slots.wanted, len(called)) == (1, True, 3)
    tasks[1].cancel()
    await asyncio.sleep(0)
    slots.give("d")
    await asyncio.sleep(0)
    assert order == ["a"]
    limit[0] = 2
    slots.review()
    await asyncio.sleep(0)
    assert order == ["a", "c"]
    slots.give("d")
    slots.give("d")
    assert (slots.held, slots.wanted) == (0, False)


async def test_a_place_given_to_someone_who_has_just_left_is_not_lost() -> None:
    slots = Slots(lambda: 1)
    await slots.take("d")
    waiting = asyncio.ensure_future(slots.take("d"))
    await asyncio.sleep(0)
    slots.give("d")
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert slots.held == 0


async def test_owners_take_turns_and_none_gets_the_last_places() -> None:
    slots = Slots(lambda: 20)
    order: list[str] = []
    tasks = []

    async def take(owner: str) -> None:
        await slots.take(owner)
        order.append(owner)

    for owner in ["slow"] * 30 + ["a"] * 3 + ["b"] * 2:
        tasks.append(asyncio.ensure_future(take(owner)))
    await asyncio.sleep(0)
    assert order == ["slow"] * 18 + ["a"] * 2
    assert (slots.held, slots.wanted) == (20, True)
    for _ in range(3):
        slots.give("slow")
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert order[20:] == ["slow", "a", "b"]
    slots.give("a")
    await asyncio.sleep(0)
    assert order[23:] == ["slow"]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert not slots.wanted


async def test_few_places_are_all_for_whoever_comes() -> None:
    slots = Slots(lambda: 9)
    async with asyncio.timeout(1):
        for _ in range(9):
            await slots.take("d")
    assert slots.held == 9


def limited(number: int, minutes: int = 5, **fields: object) -> Destination:
    return evolve(FACTORY_DEFAULT, recipient_limit=number, recipient_minutes=minutes, **fields)


def test_window_begins_with_its_first_recipient() -> None:
    windows, settings = Windows(), limited(3)
    assert windows.full(settings, "a", NOW) is None
    ends = NOW + timedelta(minutes=5)
    assert windows.take(settings, "a", 2, NOW) == (2, ends)
    assert windows.take(settings, "a", 2, NOW + timedelta(minutes=1)) == (1, ends)
    assert windows.full(settings, "b", NOW + timedelta(minutes=4)) == ends
    assert windows.full(settings, "a", ends) is None
    assert windows.take(settings, "a", 9, ends + timedelta(minutes=7)) == (3, ends + timedelta(minutes=12))


def test_who_was_not_named_does_not_count() -> None:
    windows, settings = Windows(), limited(3)
    windows.take(settings, "a", 3, NOW)
    windows.give_back(settings, "a", 2)
    assert windows.take(settings, "a", 9, NOW)[0] == 2
    windows.give_back(settings, "a", 3)
    assert not windows.under_way(NOW), "a window begins with its first recipient"
    assert windows.take(settings, "a", 1, NOW + timedelta(minutes=1)) == (1, NOW + timedelta(minutes=6))
    assert windows.under_way(NOW + timedelta(minutes=5)) and not windows.under_way(NOW + timedelta(minutes=6))


def test_windows_per_address() -> None:
    windows, settings = Windows(), limited(1, limit_type=LimitType.MXIP)
    assert windows.take(settings, "a", 1, NOW)[0] == 1
    assert windows.take(settings, "a", 1, NOW)[0] == 0
    assert windows.take(settings, "b", 1, NOW)[0] == 1
    windows.clear()
    assert windows.take(settings, "a", 1, NOW)[0] == 1


def test_no_limit_and_a_limit_of_nothing() -> None:
    windows = Windows()
    assert windows.take(FACTORY_DEFAULT, "a", 500, NOW) == (500, None)
    assert windows.full(FACTORY_DEFAULT, "a", NOW) is None
    assert windows.full(limited(0, 2), "a", NOW) == NOW + timedelta(minutes=2)
    assert windows.take(limited(0, 2), "a", 1, NOW)[0] == 0
