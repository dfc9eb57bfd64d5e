"""Suspending and resuming, with all that follows: sockets, sessions, deliveries, the work queue (operations.md 4.1, 5).

What is decided is recorded first and done then, so that a crash in between leaves it suspended, and all of it under the
lock of the commit engine, which opens and closes the same sockets. Sessions and connections that get some time to end do
so even if the operator leaves. None as listeners or domains means all, those to come included.
Errors of every change, after which nothing has changed: CommitRefused, also while a commit takes too long.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine
from typing import TYPE_CHECKING, Any

from attrs import define, evolve, field

from appliance_runtime.commit import CommitRefused
from appliance_runtime.suspensions import Suspensions, write_suspensions
from appliance_state.model.listeners import Listener

if TYPE_CHECKING:
    from appliance_runtime.appliance import Appliance


@define(eq=False)
class Suspending:
    """`now`: what is suspended."""

    appliance: Appliance
    now: Suspensions
    _endings: set[asyncio.Task[None]] = field(factory=set)

    @property
    def status(self) -> str:
        """The system status."""
        return self.now.status(self.appliance.running()[1])

    def halts(self, domain: str) -> bool:
        """Whether nothing is to be delivered to a domain."""
        return self.now.destination(domain)

    async def _record(self, suspensions: Suspensions) -> None:
        try:
            await asyncio.to_thread(write_suspensions, self.appliance.directory.suspensions, suspensions)
        except OSError as error:
            raise CommitRefused(f"The change could not be saved: {error}") from error
        self.now = suspensions

    # receiving

    async def suspend_receiving(self, listeners: Collection[Listener] | None, user: str) -> None:
        """Close sockets; sessions go on until `end_sessions`."""
        appliance = self.appliance
        async with appliance.committer.exclusive():
            if listeners is None:
                await self._record(evolve(self.now, receiving=True, listeners=frozenset()))
            else:
                await self._record(self.now.with_listeners_suspended(listener.uid for listener in listeners))
            await appliance.listen(appliance.sockets_open.prepare(appliance.endpoints(appliance.running()[1])))
        appliance.logs.event("system.receiving_suspended", what=_named(listeners), user=user)
        appliance.tell_of_change()

    async def end_sessions(self, listeners: Collection[Listener] | None, seconds: float) -> None:
        """Let the sessions of suspended listeners end within `seconds`, then end them."""
        meant = listeners if listeners is not None else self.appliance.running()[1].listeners.entries()
        await self._ended(self.appliance.receiver.drain(seconds, {listener.uid for listener in meant}))

    async def resume_receiving(self, listeners: Collection[Listener] | None, user: str) -> None:
        """Listen again; CommitRefused tells which sockets could not be opened."""
        appliance = self.appliance
        async with appliance.committer.exclusive():
            config = appliance.running()[1]
            if listeners is None:
                resumed = evolve(self.now, receiving=False, listeners=frozenset())
            else:
                resumed = self.now.with_listeners_resumed((listener.uid for listener in listeners), config)
            sockets = appliance.sockets_open.prepare(appliance.endpoints(config, resumed))
            try:
                if sockets.problems:
                    raise CommitRefused(*sockets.problems)
                await self._record(resumed)
            except CommitRefused:
                await sockets.abort()
                raise
            await appliance.listen(sockets)
        appliance.logs.event("system.receiving_resumed", what=_named(listeners), user=user)
        appliance.tell_of_change()

    # delivery

    async def suspend_delivery(self, domains: Collection[str] | None, user: str) -> None:
        """No new connection or message; what is under way goes on until `end_deliveries`."""
        async with self.appliance.committer.exclusive():
            if domains is None:
                await self._record(evolve(self.now, delivery=True, domains=frozenset()))
            elif not self.now.delivery:
                await self._record(evolve(self.now, domains=self.now.domains | frozenset(domains)))
        self.appliance.logs.event("system.delivery_suspended", what=_named(domains), user=user)

    async def end_deliveries(self, seconds: float) -> None:
        """Let what is under way to suspended domains end within `seconds`, then drop it."""
        await self._ended(self.appliance.agent.suspend(seconds))

    async def resume_delivery(self, domains: Collection[str] | None, user: str) -> None:
        async with self.appliance.committer.exclusive():
            if domains is None:
                await self._record(evolve(self.now, delivery=False, domains=frozenset()))
            else:
                await self._record(evolve(self.now, domains=self.now.domains - frozenset(domains)))
        self.appliance.agent.resume()
        self.appliance.logs.event("system.delivery_resumed", what=_named(domains), user=user)

    async def wind_down(self) -> None:
        """Everything is suspended until the program ends; nothing is recorded, so the next start knows nothing of it."""
        appliance = self.appliance
        async with appliance.committer.exclusive():
            self.now = evolve(self.now, receiving=True, delivery=True)
            await appliance.listen(appliance.sockets_open.prepare(appliance.endpoints(appliance.running()[1])))
        appliance.tell_of_change()

    # work queue

    async def pause_work_queue(self, user: str, reason: str) -> None:
        """Messages that are received from now on stay in the work queue. Paused already: nothing changes."""
        async with self.appliance.committer.exclusive():
            if self.now.pause is not None:
                return
            await self._record(self.now.with_pause(user, reason))
            self.appliance.queue.pause = self.now.pauses
        self.appliance.logs.event("system.work_queue_paused", user=user, reason=reason or f"by {user}")

    async def resume_work_queue(self, user: str) -> None:
        """Hand what is in the work queue to delivery."""
        async with self.appliance.committer.exclusive():
            if self.now.pause is None:
                return
            await self._record(evolve(self.now, pause=None))
            self.appliance.queue.process()
        self.appliance.logs.event("system.work_queue_resumed", user=user)

    async def stop(self) -> None:
        """Wait for nothing any more."""
        endings = list(self._endings)
        for task in endings:
            task.cancel()
        await asyncio.gather(*endings, return_exceptions=True)

    async def _ended(self, ending: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(ending, name="suspending")
        self._endings.add(task)
        task.add_done_callback(self._endings.discard)
        await asyncio.shield(task)


def _named(meant: Collection[Listener] | Collection[str] | None) -> str:
    """How a line names a part of what could be suspended."""
    if meant is None:
        return ""
    return f" for {', '.join(one.name if isinstance(one, Listener) else one for one in meant)}"
