"""Deliveries to one destination domain: attempts, connections, and who carries which message (delivery.md 2.3, 3, 8).

Workers lease messages in batches of what one connection may carry and walk over the hosts until one takes them. The first
worker goes alone: only when a connection has come about are more opened, so that a domain that cannot be reached costs
one pass over its hosts. A finished connection waits a moment for more mail before it ends.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import aclosing, suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from attrs import evolve

from appliance_runtime.delivery.attempt import Attempt, Trouble
from appliance_runtime.delivery.connection import NETWORK, Connection, Unusable
from appliance_runtime.delivery.exchangers import Candidate, HardFailure, HostProblem, candidates, own_addresses
from appliance_runtime.delivery.failures import Failure
from appliance_runtime.delivery.limits import Window
from appliance_runtime.delivery.results import Delivered
from appliance_runtime.delivery.routes import route_for
from appliance_runtime.delivery.schedule import effective_profile, too_old
from appliance_runtime.delivery.transaction import MAX_RECIPIENTS, Outcome, send
from appliance_runtime.delivery.wire import IDLE
from appliance_runtime.dns.answers import LookupFailed
from appliance_runtime.queue.envelope import QueuedMessage, QueuedRecipient
from appliance_runtime.queue.errors import QueueError
from appliance_state.model.destinations import Destination, IpSortPref, LimitType, TlsSupport, effective_destination

if TYPE_CHECKING:
    from appliance_runtime.delivery.agent import DeliveryAgent

SAME_ATTEMPT = timedelta(seconds=60)
"""how long a host that failed is left alone while mail flows to another one"""
BUNDLE = 1000
"""messages leased at a time when an attempt has failed"""
UNLIMITED = 10_000

Batch = list[QueuedMessage]


class DestinationDelivery:
    """`tasks`: workers; `windows`: recipient limits, by address where they count so, else under the empty name."""

    def __init__(self, domain: str, agent: DeliveryAgent) -> None:
        self.domain = domain
        self.tasks: set[asyncio.Task[None]] = set()
        self.windows: dict[str, Window] = {}
        self._agent = agent
        self._idle: deque[asyncio.Future[bool]] = deque()
        self._attempt: Attempt | None = None
        self._connected = 0
        self._at_address: Counter[str] = Counter()
        self._saturated = False
        self._turn = agent.rng.randrange(UNLIMITED)

    def wake(self) -> None:
        """Something is due."""
        if self._idle:
            self._idle.popleft().set_result(True)
        else:
            self._grow()

    def leave(self) -> None:
        """End idle connections."""
        while self._idle:
            self._idle.popleft().set_result(False)

    # -- workers --------------------------------------------------------------------------------------------------------

    def _grow(self) -> None:
        """As many workers as mail and limits ask for."""
        agent = self._agent
        if agent.stopping or self._saturated or (self.tasks and not self._connected):
            return
        settings = effective_destination(self.domain, agent.live().config.destinations)
        most = (settings.max_host_concurrency or UNLIMITED) if settings.limit_type is LimitType.HOST else UNLIMITED
        while len(self.tasks) < most:
            batch = self._lease(settings.max_messages_per_connection or 1)
            if not batch:
                return
            task = asyncio.get_running_loop().create_task(self._work(batch), name=f"delivery to {self.domain}")
            self.tasks.add(task)
            task.add_done_callback(self._ended)
            if not self._connected:
                return

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            asyncio.get_running_loop().call_exception_handler({"message": f"{task.get_name()} failed", "exception": error})
            return
        self._grow()
        if not self.tasks:
            self._attempt = None
            if not self.windows:
                self._agent.forget(self)

    def _lease(self, limit: int, until: datetime | None = None) -> Batch:
        return self._agent.queue.due(self.domain, until or self._agent.clock.now(), limit)

    async def _work(self, batch: Batch) -> None:
        """Until nothing is due, or others do it."""
        with suppress(QueueError):  # the queue is being closed; what could not be recorded is tried again after a start
            while batch and not self._agent.stopping:
                attempt = self._join()
                batch = await self._sift(batch, attempt.settings)
                if attempt.route is not None and attempt.route.special == "discard":
                    await self._discard(batch)
                    batch = []
                elif batch:
                    batch = await self._pass(attempt, batch)
                if not batch:
                    batch = self._lease(attempt.settings.max_messages_per_connection or 1) if not self._saturated else []
            self._release(batch)

    def _join(self) -> Attempt:
        """The attempt under way, or a new one."""
        snapshot, now = self._agent.live(), self._agent.clock.now()
        current = self._attempt
        if current is None or current.snapshot.generation != snapshot.generation or now - current.started >= SAME_ATTEMPT:
            settings = effective_destination(self.domain, snapshot.config.destinations)
            route = route_for(self.domain, snapshot.config.smtp_routes)
            current = self._attempt = Attempt(started=now, snapshot=snapshot, settings=settings, route=route)
        return current

    async def _sift(self, batch: Batch, settings: Destination) -> Batch:
        """What is to be tried now: not the messages that are too old, and none while the limit of recipients is reached."""
        agent = self._agent
        now = agent.clock.now()
        config = agent.live().config
        young: Batch = []
        for message in batch:
            if too_old(effective_profile(config, settings, message.bounce_profile), message.received, now):
                await agent.results.expire(message, settings)
            else:
                young.append(message)
        until = self._full("", settings, now) if settings.limit_type is LimitType.HOST else None
        if until is not None:
            await self._postpone(young, until)
            return []
        return young

    async def _discard(self, batch: Batch) -> None:
        """The route /dev/null."""
        for message in batch:
            rids = [recipient.rid for recipient in message.recipients]
            self._agent.logs.event("mid.discarded", mid=message.mid, rids=rids)
            self._agent.results.announce(message, Delivered(dcid=0, rids=rids))
            await self._agent.results.complete(message, rids)

    def _release(self, batch: Batch) -> None:
        for message in batch:
            self._agent.queue.release(message.mid, self.domain)

    # -- one pass over the hosts ------------------------------------------------------------------------------------------

    async def _pass(self, attempt: Attempt, batch: Batch) -> Batch:
        """Try hosts until the messages are carried or none is left; returns those that another pass has to see to."""
        agent, settings = self._agent, attempt.settings
        self._turn += 1
        lost: Failure | None = None
        busy_rank: int | None = None
        until: datetime | None = None
        walk = candidates(
            self.domain,
            attempt.route,
            agent.resolver,
            agent.rng,
            preference=settings.ip_sort_pref or IpSortPref.PREFER_V6,
            own=own_addresses(attempt.snapshot.config),
            turn=self._turn,
        )
        try:
            async with aclosing(walk) as steps:  # type: ignore[type-var]
                async for step in steps:
                    if isinstance(step, HostProblem):
                        self._no_address(attempt, step)
                        continue
                    if attempt.failed_at(step):
                        continue
                    if busy_rank is not None and step.host.rank > busy_rank:
                        break
                    if settings.limit_type is LimitType.MXIP and (held := self._held(step, settings)) is not None:
                        busy_rank, until = step.host.rank, held[0]
                        continue
                    if agent.live().generation != attempt.snapshot.generation:
                        return batch
                    connection = await self._open(attempt, step)
                    if connection is not None:
                        batch, lost = await self._use(attempt, connection, batch)
                        if lost is None:
                            return batch
        except LookupFailed as failed:
            self._log_failed(failed)
            attempt.troubles.append(Trouble(failure=Failure.own("4.4.3", str(failed))))
        except HardFailure as hard:
            await self._fail(attempt, batch, hard.failure, 0)
            return []
        if lost is not None:
            # Other messages may fare better on the same host.
            await agent.results.failed(batch[0], {one.rid: lost for one in batch[0].recipients}, self._last_dcid, settings)
            return batch[1:]
        if busy_rank is not None and until is not None:
            await self._postpone(batch, until)
        elif busy_rank is not None or self._connected or not attempt.troubles:
            self._saturated = True
            self._release(batch)
        else:
            self._alert(attempt)
            await self._fail(attempt, batch, *attempt.verdict)
        return []

    def _no_address(self, attempt: Attempt, problem: HostProblem) -> None:
        if problem.failed is not None:
            self._log_failed(problem.failed)
        attempt.troubles.append(Trouble(failure=Failure.own("4.4.3", problem.text)))

    def _log_failed(self, failed: LookupFailed) -> None:
        self._agent.logs.event("dns.temporary", host=failed.name, type=failed.kind, failure=failed.failure)

    def _held(self, step: Candidate, settings: Destination) -> tuple[datetime | None] | None:
        """Whether a limit that counts per address keeps mail from this one; the time is that of the recipient limit."""
        full = self._full(step.address, settings, self._agent.clock.now())
        if full is not None:
            return (full,)
        most = settings.max_host_concurrency or UNLIMITED
        return (None,) if self._at_address[step.address] >= most else None

    async def _open(self, attempt: Attempt, step: Candidate) -> Connection | None:
        """A connection that holds a place; None = this address failed, and is not contacted again in this attempt."""
        agent = self._agent
        self._at_address[step.address] += 1
        try:
            await agent.take_place()
            try:
                dcid = self._last_dcid = agent.queue.next_dcid()
                support = attempt.settings.tls_support or TlsSupport.NO
                return await agent.open(self.domain, step, support, attempt.snapshot, dcid)
            except BaseException:
                agent.give_place()
                raise
        except BaseException as error:
            self._at_address[step.address] -= 1
            if not isinstance(error, Unusable):
                raise
            attempt.troubles.append(Trouble.of(error, step, dcid))
            return None

    async def _fail(self, attempt: Attempt, batch: Batch, failure: Failure, dcid: int) -> None:
        """The attempt has failed for everything that was due when it began."""
        self._attempt = None
        while batch:
            for message in batch:
                failures = {recipient.rid: failure for recipient in message.recipients}
                await self._agent.results.failed(message, failures, dcid, attempt.settings)
            batch = await self._sift(self._lease(BUNDLE, attempt.started), attempt.settings)

    def _alert(self, attempt: Attempt) -> None:
        text = attempt.alert(self.domain)
        if text is not None:
            self._agent.alerts.raise_("tls.required", self.domain, "System", "Warning", text)

    # -- one connection -------------------------------------------------------------------------------------------------

    async def _use(self, attempt: Attempt, connection: Connection, batch: Batch) -> tuple[Batch, Failure | None]:
        """Carry messages until the connection has served. Returns those left; with a failure, the first of them was lost on it."""
        agent = self._agent
        attempt.served = True
        self._connected += 1
        self._grow()
        record: asyncio.Task[None] | None = None
        try:
            while True:
                if not batch and self._fresh(attempt, connection):
                    room = (attempt.settings.max_messages_per_connection or 1) - connection.sent
                    batch = await self._sift(self._lease(room), attempt.settings)
                    if batch:
                        self._grow()
                if not batch:
                    if record is not None:
                        await record
                        record = None
                    if not await self._rest(attempt, connection):
                        return [], None
                    continue
                if not self._fresh(attempt, connection):
                    return batch, None
                message = batch.pop(0)
                left, recording = await self._carry(attempt, connection, message)
                if record is not None:
                    await record
                record = recording
                if left:
                    batch.insert(0, evolve(message, recipients=tuple(left)))
                    if connection.wire.lost is not None:
                        return batch, Failure.own("4.4.0", str(connection.wire.lost), remote=connection.target.address)
        except asyncio.CancelledError:
            connection.wire.abort()
            raise
        finally:
            if record is not None:
                await record
            try:
                await agent.close(connection)
            finally:
                self._connected -= 1
                self._at_address[connection.target.address] -= 1
                self._saturated = False
                agent.give_place()

    def _fresh(self, attempt: Attempt, connection: Connection) -> bool:
        """Whether the connection may carry another message."""
        wire = connection.wire
        return (
            wire.lost is None
            and not wire.pending
            and not connection.closing
            and not self._agent.stopping
            and connection.sent < (attempt.settings.max_messages_per_connection or 1)
            and self._agent.live().generation == attempt.snapshot.generation
        )

    async def _rest(self, attempt: Attempt, connection: Connection) -> bool:
        """Wait for more mail; False = the connection is to end."""
        agent = self._agent
        if agent.crowded or not self._fresh(attempt, connection):
            return False
        loop = asyncio.get_running_loop()
        work: asyncio.Future[bool] = loop.create_future()

        def end() -> None:
            if not work.done():
                work.set_result(False)

        timer = loop.call_later(IDLE * agent.scale, end)
        connection.wire.on_input = end
        self._idle.append(work)
        try:
            return await work
        finally:
            timer.cancel()
            connection.wire.on_input = None
            with suppress(ValueError):
                self._idle.remove(work)

    async def _carry(
        self, attempt: Attempt, connection: Connection, message: QueuedMessage
    ) -> tuple[list[QueuedRecipient], asyncio.Task[None] | None]:
        """One message. Returns recipients that are still undecided, and what records the others while the next message goes on."""
        agent = self._agent
        try:
            body = await agent.queue.body(message.mid)
        except QueueError:
            agent.queue.release(message.mid, self.domain)
            return [], None
        rest = await self._granted(attempt.settings, connection, message)
        record: asyncio.Task[None] | None = None
        while rest and self._fresh(attempt, connection):
            now = rest[:MAX_RECIPIENTS]
            agent.logs.event("mid.delivery_start", dcid=connection.dcid, mid=message.mid, rids=[one.rid for one in now])
            possible = agent.live().config.delivery.possible_delivery
            outcome = await send(connection, message.sender, now, body, possible=possible)
            if record is not None:
                await record
            record = await self._record(attempt, connection, message, outcome, body)
            if outcome.lost is not None:
                decided = {*outcome.delivered, *outcome.failed}
                return [one for one in rest if one.rid not in decided], record
            rest = rest[MAX_RECIPIENTS:]
        return rest, record

    async def _record(
        self, attempt: Attempt, connection: Connection, message: QueuedMessage, outcome: Outcome, body: bytes
    ) -> asyncio.Task[None] | None:
        """Lines and records of a transaction. What went well is made durable while the next message is already on its way."""
        agent, target = self._agent, connection.target
        if outcome.lost is not None:
            agent.logs.event(
                "dcid.error", dcid=connection.dcid, domain=self.domain, ip=target.address, port=target.port, details=outcome.lost,
                source=connection.source.address, reason=NETWORK,
            )  # fmt: skip
        recording: asyncio.Task[None] | None = None
        if outcome.delivered:
            delivered = Delivered(dcid=connection.dcid, rids=outcome.delivered, reply=outcome.reply, possible=outcome.possible)
            agent.results.announce(message, delivered, body)
            recording = asyncio.get_running_loop().create_task(agent.results.complete(message, outcome.delivered))
        if outcome.failed:
            if recording is not None:
                await recording
            await agent.results.failed(message, outcome.failed, connection.dcid, attempt.settings)
            return None
        return recording

    # -- recipients per minutes -----------------------------------------------------------------------------------------

    def _full(self, key: str, settings: Destination, now: datetime) -> datetime | None:
        """When the next recipient may go, if none may now."""
        if settings.recipient_limit is None or settings.recipient_minutes is None:
            return None
        return self.windows.setdefault(key, Window()).full(settings.recipient_limit, settings.recipient_minutes, now)

    async def _granted(self, settings: Destination, connection: Connection, message: QueuedMessage) -> list[QueuedRecipient]:
        """The recipients that may be named now; the others wait for the end of the window."""
        recipients = list(message.recipients)
        if settings.recipient_limit is None or settings.recipient_minutes is None:
            return recipients
        key = connection.target.address if settings.limit_type is LimitType.MXIP else ""
        window = self.windows.setdefault(key, Window())
        granted = window.take(len(recipients), settings.recipient_limit, settings.recipient_minutes, self._agent.clock.now())
        if granted < len(recipients) and window.ends is not None:
            await self._postpone([evolve(message, recipients=tuple(recipients[granted:]))], window.ends)
        return recipients[:granted]

    async def _postpone(self, messages: Sequence[QueuedMessage], until: datetime) -> None:
        for message in messages:
            rids = [recipient.rid for recipient in message.recipients]
            self._agent.results.pending(message, rids, until)
            await self._agent.queue.postpone(message.mid, rids, until)
