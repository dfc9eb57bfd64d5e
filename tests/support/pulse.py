"""Measures whether the event loop stands still while something is under way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Iterable
from typing import TypeVar

from attrs import define, field

T = TypeVar("T")
BEAT = 0.001
SHARE = 0.5
"""of the time that the work takes: a loop that does the work itself stands still for nearly all of it"""
PAUSE = 0.03
"""what another process that wants the processor may take without being counted"""


@define
class Pulse:
    """Beats of the loop while work goes on. `standing`: seconds beyond the pause that no beat could happen."""

    worst: float = 0.0
    standing: float = 0.0
    total: float = 0.0
    _delays: list[float] = field(factory=list)

    async def during(self, work: Iterable[Awaitable[T]]) -> list[T]:
        beating = asyncio.create_task(self._beat())
        began = time.perf_counter()
        try:
            return list(await asyncio.gather(*work))
        finally:
            self.total = time.perf_counter() - began
            beating.cancel()
            await asyncio.wait([beating])
            self.worst = max(self._delays, default=self.total)
            self.standing = sum(max(0.0, delay - PAUSE) for delay in self._delays) if self._delays else self.total

    async def _beat(self) -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(BEAT)
            now = time.perf_counter()
            self._delays.append(now - last - BEAT)
            last = now

    def check(self) -> None:
        assert self.standing < SHARE * self.total, (
            f"the loop stood still for {self.standing:.3f} of {self.total:.3f} s, at most {self.worst:.3f}"
        )
