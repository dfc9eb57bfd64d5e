"""Keeps the appliance's own tasks alive: restart with growing pauses, a log line and an alert for every crash."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from typing import Protocol

from attrs import define, field

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0


class FaultReport(Protocol):
    def __call__(self, service: str, error: str) -> None: ...


@define(eq=False)
class Supervisor:
    """`report` is told of every crash: service and error text with its place in the code."""

    report: FaultReport
    tasks: set[asyncio.Task[None]] = field(factory=set)

    def run(self, service: str, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """Run `work` until it returns; when it crashes, again after a pause, which grows unless the work has run for long meanwhile."""
        task = asyncio.get_running_loop().create_task(self._keep(service, work), name=service)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    def crashed(self, service: str, error: BaseException) -> None:
        """Report a crash of something that goes on by other means."""
        place = traceback.extract_tb(error.__traceback__)[-1]
        self.report(service, f"{type(error).__name__}: {error} ({place.name}, line {place.lineno})")

    async def _keep(self, service: str, work: Callable[[], Awaitable[None]]) -> None:
        loop = asyncio.get_running_loop()
        pause = FIRST_PAUSE
        while True:
            began = loop.time()
            try:
                return await work()
            except Exception as error:  # a bug: it must not take the appliance with it
                self.crashed(service, error)
            if loop.time() - began > LONGEST_PAUSE:
                pause = FIRST_PAUSE
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def stop(self) -> None:
        tasks = list(self.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
