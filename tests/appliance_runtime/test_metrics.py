"""Counters: three columns, sums, rates, survival (operations.md 1)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from appliance_runtime import metrics
from appliance_runtime.clock import FakeClock
from appliance_runtime.metrics import COUNTERS, Columns, Counters, Rates


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(datetime(2026, 3, 6, 9, 0, tzinfo=UTC))


def test_three_columns(clock: FakeClock, tmp_path: Path) -> None:
    path = tmp_path / "counters.json"
    first = Counters(clock, path)
    first.add("inj_msgs", 20)
    first.reset()
    first.add("inj_msgs")
    assert first.columns("inj_msgs") == Columns(reset=1, uptime=21, lifetime=21)
    assert first.last_reset == clock.now()
    first.save()
    second = Counters(clock, path)
    second.add("inj_msgs")
    assert second.columns("inj_msgs") == Columns(reset=2, uptime=1, lifetime=22)
    assert second.last_reset == clock.now()
    assert [path.name for path in tmp_path.iterdir()] == ["counters.json"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"counters": {"inj_msgs": ["x", 1]}, "last_reset": null}'])
def test_a_file_that_makes_no_sense(clock: FakeClock, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "counters.json"
    path.write_bytes(content)
    assert Counters(clock, path).columns("inj_msgs") == Columns(0, 0, 0)


def test_sums(clock: FakeClock) -> None:
    counters = Counters(clock)
    for name in ("dns_hard_bounced_recips", "5xx_hard_bounced_recips", "expired_hard_bounced_recips", "other_hard_bounced_recips"):
        counters.add(name)
    counters.add("delivered_recips", 10)
    counters.add("deleted_recips", 5)
    assert counters.columns("hard_bounced_recips").lifetime == 4
    assert counters.columns("completed_recips").lifetime == 19
    assert counters.rates("completed_recips").minute == 19 * 60


@pytest.mark.parametrize("name", ["completed_recips", "hard_bounced_recips", "conn_in", "no_such"])
def test_what_cannot_be_added_to(clock: FakeClock, name: str) -> None:
    with pytest.raises(KeyError):
        Counters(clock).add(name)


def test_every_counter_can_be_shown(clock: FakeClock) -> None:
    counters = Counters(clock)
    assert {counters.columns(name) for name in COUNTERS} == {Columns(0, 0, 0)}
    assert {counters.rates(name) for name in COUNTERS} == {Rates(0, 0, 0)}


@pytest.mark.parametrize(
    ("age", "rates"),
    [
        (0, Rates(minute=180, five_minutes=36, fifteen_minutes=12)),
        (59, Rates(minute=180, five_minutes=36, fifteen_minutes=12)),
        (60, Rates(minute=0, five_minutes=36, fifteen_minutes=12)),
        (299, Rates(minute=0, five_minutes=36, fifteen_minutes=12)),
        (300, Rates(minute=0, five_minutes=0, fifteen_minutes=12)),
        (900, Rates(minute=0, five_minutes=0, fifteen_minutes=0)),
    ],
)
async def test_rates(clock: FakeClock, age: int, rates: Rates) -> None:
    counters = Counters(clock)
    counters.add("inj_msgs", 2)
    counters.add("inj_msgs")
    await clock.advance(age)
    assert counters.rates("inj_msgs") == rates


async def test_old_events_are_forgotten(clock: FakeClock) -> None:
    counters = Counters(clock)
    for _ in range(2000):
        counters.add("inj_msgs")
        await clock.advance(1)
    assert len(counters._counters["inj_msgs"].recent) <= 900


def test_gauges(clock: FakeClock) -> None:
    counters = Counters(clock)
    counters.gauge("conn_in", 1)
    counters.gauge("conn_in", 1)
    counters.gauge("conn_in", -1)
    assert (counters.current("conn_in"), counters.current("conn_out")) == (1, 0)


async def test_kept_while_running(clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "SAVE_INTERVAL", 0.005)
    path = tmp_path / "folder" / "counters.json"
    counters = Counters(clock, path)
    counters.add("inj_msgs")
    keeping = asyncio.create_task(counters.keep())
    await asyncio.sleep(0.03)  # writing fails while the folder is missing
    path.parent.mkdir()
    async with asyncio.timeout(5):
        while not path.exists():
            await asyncio.sleep(0.002)
    keeping.cancel()
    assert Counters(clock, path).columns("inj_msgs").lifetime == 1
