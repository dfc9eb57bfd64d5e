"""Deliveries to one destination domain: how many connections at once, and what they know of each other (delivery.md 2.3).

The first worker goes alone: only when a connection has come about are more opened, as many as there is mail for, so that
a domain that cannot be reached costs one pass over its hosts. Idle connections take new mail first. A worker that crashes
gives back what it had in hand, all but the message at fault, and the domain rests: a defect fills no log and stops no mail.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from appliance_runtime.delivery.attempt import Attempt
from appliance_runtime.delivery.carrying import Records, postpone
from appliance_runtime.delivery.exchangers import Candidate
from appliance_runtime.delivery.failures import Failure
from appliance_runtime.delivery.limits import Windows
from appliance_runtime.delivery.results import Delivered
from appliance_runtime.delivery.routes import route_for
from appliance_runtime.delivery.schedule import effective_profile, too_old
from appliance_runtime.delivery.worker import Batch, Worker
from appliance_runtime.queue.envelope import QueuedMessage
from appliance_runtime.queue.errors import QueueError
from appliance_runtime.snapshot import Snapshot
from appliance_runtime.supervisor import FIRST_PAUSE, LONGEST_PAUSE
from appliance_state.model.destinations import Destination, LimitType, effective_destination

if TYPE_CHECKING:
    from appliance_runtime.delivery.agent import DeliveryAgent

SAME_ATTEMPT = timedelta(seconds=60)
"""how long a host that failed is left alone while mail flows to another one"""
BUNDLE = 50
"""messages that are dealt with together when an attempt has failed, or a limit holds them back"""
MEANWHILE = 14
"""for each moment that such a bundle costs, so many for everything else: a dead domain with much mail delays no other"""
UNLIMITED = 10_000
ASIDE = timedelta(seconds=60)
"""how long a message over which a worker has crashed makes way for the others"""


class DestinationDelivery:
    """`tasks`: workers under way; `windows`: recipients named so far; `idle`: connections that wait for mail."""

    def __init__(self, domain: str, agent: DeliveryAgent) -> None:
        self.domain = domain
        self.agent = agent
        self.tasks: set[asyncio.Task[None]] = set()
        self.windows = Windows()
        self.idle: deque[asyncio.Future[bool]] = deque()
        self.at_address: Counter[str] = Counter()
        """connections by logical address"""
        self.open = 0
        """connections that carry mail, or wait for some"""
        self._workers: set[Worker] = set()
        self._attempt: Attempt | None = None
        self._saturated = False
        self._settings: tuple[Snapshot, Destination] | None = None
        self._pause = 0.0
        """seconds of rest after the last crash"""
        self._rested = asyncio.Event()
        self._rested.set()

    def wake(self) -> None:
        """Something is due."""
        if not self._tell(work=True):
            self.grow()

    def leave(self) -> None:
        """End idle connections."""
        while self._tell(work=False):
            pass

    def settings_changed(self) -> None:
        """End idle connections, whose settings are old, and a rest: what has crashed may do better now."""
        self.leave()
        self._rested.set()

    @property
    def halted(self) -> bool:
        """No further connection or message may begin."""
        return self.agent.stopping or self.agent.suspended(self.domain)

    def drop(self) -> None:
        """Drop the connections that are not done when deliveries have to be suspended."""
        for worker in self._workers:
            if worker.connection is not None and self.halted:
                worker.connection.wire.abort()

    def _tell(self, *, work: bool) -> bool:
        """Tell one idle connection to go on, or to end; False = there is none."""
        while self.idle:
            idle = self.idle.popleft()
            if not idle.done():
                idle.set_result(work)
                return True
        return False

    # -- workers --------------------------------------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        return self.open > 0

    def grow(self) -> None:
        """Begin as many workers as mail and limits ask for."""
        if self.halted or self._saturated or not self._rested.is_set() or (self.tasks and not self.connected):
            return
        settings = self._effective(self.agent.live())
        limit = settings.max_messages_per_connection or 1
        most = (settings.max_host_concurrency or UNLIMITED) if settings.limit_type is LimitType.HOST else UNLIMITED
        # A connection that carries one message has room for no other: nothing to ask then.
        while len(self.tasks) < most and not (limit > 1 and any(worker.room > 0 for worker in self._workers)):
            worker = Worker(self, limit)
            if not worker.batch:
                return
            self._workers.add(worker)
            task = asyncio.get_running_loop().create_task(worker.run(), name=f"delivery to {self.domain}")
            self.tasks.add(task)
            task.add_done_callback(lambda task, worker=worker: self._ended(task, worker))  # type: ignore[misc]
            if not self.connected:
                return

    def _ended(self, task: asyncio.Task[None], worker: Worker) -> None:
        self.tasks.discard(task)
        self._workers.discard(worker)
        if task.cancelled() or (error := task.exception()) is None:
            self._pause = 0.0
        else:
            self.agent.crashed(task.get_name(), error)
            self._rested.clear()
            recovery = asyncio.get_running_loop().create_task(self._recover(worker))
            self.tasks.add(recovery)
            recovery.add_done_callback(self._recovered)
        self._go_on()

    async def _recover(self, worker: Worker) -> None:
        """After a crash."""
        queue, message = self.agent.queue, worker.message
        with suppress(QueueError):  # closed meanwhile
            if message is not None:
                rids = [recipient.rid for recipient in message.recipients]
                await queue.postpone(message.mid, rids, self.agent.clock.now() + ASIDE)
            queue.give_back(self.domain, worker)
        self._pause = min(self._pause * 2 or FIRST_PAUSE, LONGEST_PAUSE)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._pause):
                await self._rested.wait()

    def _recovered(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        self._rested.set()
        self._go_on()

    def _go_on(self) -> None:
        """Begin further workers, or end."""
        self.grow()
        if not self.tasks:
            self._attempt = None
            self.agent.at_rest(self)
            if not self.windows.under_way(self.agent.clock.now()):
                self.agent.forget(self)

    def leave_to_others(self, batch: Batch) -> None:
        """No host takes a further connection: no further workers either until one has ended."""
        self._saturated = True
        self.release(batch)
        self.wake()

    def connection_ended(self, address: str) -> None:
        self.at_address[address] -= 1
        self._saturated = False

    # -- what workers share ---------------------------------------------------------------------------------------------

    def join(self) -> Attempt:
        """The attempt under way, or a new one."""
        snapshot, now = self.agent.live(), self.agent.clock.now()
        current = self._attempt
        if current is None or current.snapshot.generation != snapshot.generation or now - current.started >= SAME_ATTEMPT:
            settings = self._effective(snapshot)
            route = route_for(self.domain, snapshot.config.smtp_routes)
            current = self._attempt = Attempt(started=now, snapshot=snapshot, settings=settings, route=route)
        return current

    def _effective(self, snapshot: Snapshot) -> Destination:
        """What governs the domain; found once for a snapshot."""
        if self._settings is None or self._settings[0] is not snapshot:
            self._settings = (snapshot, effective_destination(self.domain, snapshot.config.destinations))
        return self._settings[1]

    def lease(self, worker: Worker, limit: int, until: datetime | None = None) -> Batch:
        """What is due, by `until` if given, else now."""
        queue = self.agent.queue
        if until is None and not queue.is_due(self.domain):
            return []
        return queue.due(self.domain, until or self.agent.clock.now(), limit, worker)

    def release(self, batch: Batch) -> None:
        """Leave messages to others."""
        for message in batch:
            self.agent.queue.release(message.mid, self.domain)

    async def sift(self, worker: Worker, batch: Batch, settings: Destination) -> Batch:
        """What is to be tried now: not the messages that are too old, and none while the limit of recipients is reached."""
        now = self.agent.clock.now()
        config = self.agent.live().config
        young: Batch = []
        expired: Batch = []
        for message in batch:
            old = too_old(effective_profile(config, settings, message.bounce_profile), message.received, now)
            (expired if old else young).append(message)
        if expired:
            await self._together(worker, expired, lambda message: self.agent.results.expire(message, settings))
        until = self.windows.full(settings, "", now) if settings.limit_type is LimitType.HOST else None
        if until is None:
            return young
        await self.postpone(worker, young, until)
        return []

    async def postpone(self, worker: Worker, batch: Batch, until: datetime) -> None:
        """A limit holds these messages back; if they are many, others get their turn before the next ones."""
        begun = self._now()
        await self._together(worker, batch, lambda message: postpone(self.agent, message, message.recipients, until))
        if len(batch) >= BUNDLE:
            await self._meanwhile(begun)

    def held(self, candidate: Candidate, settings: Destination) -> tuple[datetime | None] | None:
        """Whether a limit that counts per address keeps mail from this one; the time is that of the recipient limit."""
        if settings.limit_type is not LimitType.MXIP:
            return None
        until = self.windows.full(settings, candidate.address, self.agent.clock.now())
        if until is not None:
            return (until,)
        return (None,) if self.at_address[candidate.address] >= (settings.max_host_concurrency or UNLIMITED) else None

    # -- ends without a connection --------------------------------------------------------------------------------------

    async def discard(self, batch: Batch) -> None:
        """The route /dev/null."""
        records = Records(self.agent.queue.record_now)
        for message in batch:
            rids = [recipient.rid for recipient in message.recipients]
            self.agent.logs.event("mid.discarded", mid=message.mid, rids=rids)
            self.agent.results.announce(message, Delivered(dcid=0, rids=rids))
            self.agent.results.complete(message, rids, records.begin())
        await records.settle()

    async def fail(self, worker: Worker, attempt: Attempt, batch: Batch, failure: Failure, dcid: int) -> None:
        """The attempt has failed, for everything that was due when it began."""
        self._attempt = None
        if not attempt.served:
            self.agent.hosts.attempted(self.domain, reached=any(trouble.alert and trouble.dcid for trouble in attempt.troubles))
        ended = self.agent.clock.now()
        alarm = attempt.alarm(self.domain)
        if alarm is not None:
            self.agent.alerts.raise_(alarm.id, self.domain, alarm.alert_class, "Warning", alarm.text)

        async def record(message: QueuedMessage) -> None:
            failures = {recipient.rid: failure for recipient in message.recipients}
            await self.agent.results.failed(message, failures, dcid, attempt.settings, ended)

        while batch and not self.agent.stopping:
            begun = self._now()
            await self._together(worker, batch, record)
            batch = await self.sift(worker, self.lease(worker, BUNDLE, attempt.started), attempt.settings)
            if batch:
                await self._meanwhile(begun)
        self.release(batch)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    async def _meanwhile(self, begun: float) -> None:
        await asyncio.sleep(MEANWHILE * (self._now() - begun))

    async def _together(self, worker: Worker, batch: Batch, work: Callable[[QueuedMessage], Awaitable[None]]) -> None:
        """For all messages at once, so that they share a commit. Errors: the first one; its message is the one at fault."""

        async def one(message: QueuedMessage) -> None:
            try:
                await work(message)
            except BaseException:
                worker.message = worker.message or message
                raise

        outcomes = await asyncio.gather(*map(one, batch), return_exceptions=True)
        for outcome in outcomes:
            if outcome is not None:
                raise outcome
