"""Single pieces of work beside a service: what crashes in them is reported, and the end waits for none of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from attrs import define, field

Crashed = Callable[[str, BaseException], None]
"""`Supervisor.crashed`: what has crashed, and why"""


@define(eq=False)
class Background:
    service: str
    crashed: Crashed
    _tasks: set[asyncio.Task[Any]] = field(factory=set)

    def start(self, work: Coroutine[Any, Any, object]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.crashed(self.service, error)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
