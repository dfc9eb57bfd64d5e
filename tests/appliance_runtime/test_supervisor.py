"""What crashes is reported and started again: soon, then later and later, and soon again when it has run for long."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from appliance_runtime import supervisor
from appliance_runtime.supervisor import Supervisor

FIRST, LONGEST = 0.1, 0.4


@pytest.mark.parametrize(
    ("runs", "pauses"),
    [
        ([0, 0, 0, 0], [FIRST, 2 * FIRST, LONGEST, LONGEST]),
        ([0, 0, 1.5 * LONGEST, 0], [FIRST, 2 * FIRST, FIRST, 2 * FIRST]),
    ],
    ids=["at once", "after long work"],
)
async def test_pauses_between_crashes(monkeypatch: pytest.MonkeyPatch, runs: list[float], pauses: list[float]) -> None:
    monkeypatch.setattr(supervisor, "FIRST_PAUSE", FIRST)
    monkeypatch.setattr(supervisor, "LONGEST_PAUSE", LONGEST)
    reports: list[tuple[str, str]] = []
    loop = asyncio.get_running_loop()
    began: list[float] = []
    ended: list[float] = []
    durations = iter(runs)

    async def work() -> None:
        began.append(loop.time())
        duration = next(durations, None)
        if duration is None:
            return
        await asyncio.sleep(duration)
        ended.append(loop.time())
        raise RuntimeError("fault")

    await asyncio.wait_for(Supervisor(lambda service, error: reports.append((service, error))).run("service", work), 10)
    waited = [begin - end for end, begin in zip(ended, itertools.islice(began, 1, None), strict=True)]
    assert all(pause - 0.01 < wait < 1.9 * pause for wait, pause in zip(waited, pauses, strict=True))
    assert [service for service, _ in reports] == ["service"] * len(runs)
    assert all(error.startswith("RuntimeError: fault (work, line ") for _, error in reports)
