"""What was learned and until when: values with an end on the appliance clock, each found out once for all who wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Generic, Protocol, TypeVar

from appliance_runtime.clock import Clock

MAX_CACHED = 20_000


class Expiring(Protocol):
    @property
    def expires(self) -> datetime: ...


K = TypeVar("K")
V = TypeVar("V", bound=Expiring)


class Cache(Generic[K, V]):
    """The oldest entries give way to new ones. What fails is not kept."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[K, V] = {}
        self._asking: dict[K, asyncio.Task[V]] = {}

    def flush(self) -> None:
        """Forget everything; what is under way reaches only who waits for it."""
        self._known = {}
        self._asking = {}

    async def get(self, key: K, find_out: Callable[[], Awaitable[V]]) -> V:
        """The value of `key`. Errors: those of `find_out`."""
        known = self._known.get(key)
        if known is not None and known.expires > self._clock.now():
            return known
        asking = self._asking.get(key)
        if asking is None:

            async def ask() -> V:
                return await find_out()

            asking = self._asking[key] = asyncio.get_running_loop().create_task(ask())
            asking.add_done_callback(lambda task: self._found(key, task))
        # Who gives up waiting does not end the question of the others.
        return await asyncio.shield(asking)

    def _found(self, key: K, task: asyncio.Task[V]) -> None:
        if self._asking.get(key) is not task:
            task.cancelled() or task.exception()
            return
        del self._asking[key]
        if not task.cancelled() and task.exception() is None:
            self._known.pop(key, None)
            self._known[key] = task.result()
            while len(self._known) > MAX_CACHED:
                del self._known[next(iter(self._known))]
