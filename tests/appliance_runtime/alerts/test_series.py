"""The duplicate rule (alertconfig.md 5, 7.10 to 7.12)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from appliance_runtime.alerts.series import DuplicateSeries, due_after

START = datetime(2026, 3, 6, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("initial", "maximum", "due"),
    [
        (5, 10**9, [5, 15, 35, 75, 155, 315]),
        (5, 60, [5, 15, 35, 60, 120, 180]),
        (300, 3600, [300, 900, 2100, 3600, 7200]),
        (60, 60, [60, 120, 180]),
        (1, 4, [1, 3, 4, 8]),
    ],
)
def test_due_times(initial: int, maximum: int, due: list[int]) -> None:
    elapsed, times = 0.0, []
    for _ in due:
        elapsed = due_after(elapsed, initial, maximum)
        times.append(elapsed)
    assert times == due


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def test_summary_of_what_was_held_back() -> None:
    series = DuplicateSeries.open(START, "first", 5, 60)
    assert series.due == at(5)
    series.repeat(at(1), "second")
    series.repeat(at(4), "third")
    summary = series.fall_due(5, 60)
    assert summary is not None
    assert (summary.text, summary.count, summary.first, summary.last) == ("third", 2, at(1), at(4))
    assert series.due == at(15)


def test_a_quiet_due_time_ends_the_series() -> None:
    series = DuplicateSeries.open(START, "first", 5, 60)
    series.repeat(at(1), "second")
    assert series.fall_due(5, 60) is not None
    assert series.fall_due(5, 60) is None


def test_new_intervals_count_from_the_next_due_time() -> None:
    series = DuplicateSeries.open(START, "first", 300, 3600)
    series.repeat(at(1), "second")
    assert series.due == at(300)
    series.fall_due(10, 60)
    assert series.due == at(360)  # the next multiple of the new maximum
