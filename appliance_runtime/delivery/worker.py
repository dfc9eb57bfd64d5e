"""A worker: walks over the hosts of a domain until one takes its messages, and carries them there (delivery.md 3, 8).

It leases messages in batches of what one connection may carry. A message that was lost on a connection goes on to the
remaining hosts; the messages behind it get a pass of their own, so that one message that a peer cannot bear holds up none.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from datetime import datetime
from typing import TYPE_CHECKING

from appliance_runtime.delivery.attempt import Attempt, Trouble
from appliance_runtime.delivery.carrying import UNRECORDED, Records, carry
from appliance_runtime.delivery.connection import Connection, Unusable
from appliance_runtime.delivery.exchangers import Candidate, HardFailure, HostProblem, Skipped, candidates, own_addresses
from appliance_runtime.delivery.failures import Failure
from appliance_runtime.delivery.wire import IDLE
from appliance_runtime.dns.answers import LookupFailed
from appliance_runtime.queue.envelope import QueuedMessage
from appliance_runtime.queue.errors import QueueError
from appliance_state.model.destinations import IpSortPref, TlsSupport

if TYPE_CHECKING:
    from appliance_runtime.delivery.destination import DestinationDelivery

Batch = list[QueuedMessage]

AHEAD_MESSAGES, AHEAD_OCTETS = 16, 64 * 1024
"""bodies that are read from disk together"""


class Worker:
    """`batch`: messages in hand, the first one under way; `connection`: the one that is open."""

    def __init__(self, destination: DestinationDelivery, limit: int) -> None:
        self.batch: Batch = destination.lease(self, limit)
        self.message: QueuedMessage | None = None
        """being worked on right now"""
        self.connection: Connection | None = None
        self._destination = destination
        self._agent = destination.agent
        self._limit = limit
        self._carried = 0
        """transactions that the connection has done with"""
        self._superfluous = False

    @property
    def room(self) -> int:
        """Messages that it can still take on its connection."""
        return self._limit - self._carried - len(self.batch)

    async def run(self) -> None:
        """Until nothing is due, or others do it."""
        destination = self._destination
        with suppress(QueueError):  # the queue is being closed; what could not be recorded is tried again after a start
            while self.batch and not destination.halted:
                attempt = destination.join()
                self._limit = attempt.settings.max_messages_per_connection or 1
                self.batch = await destination.sift(self, self.batch, attempt.settings)
                if attempt.route is not None and attempt.route.special == "discard":
                    await destination.discard(self.batch)
                    self.batch = []
                elif self.batch:
                    await self._pass(attempt)
                if self._superfluous:
                    return
                self.batch = self.batch or destination.lease(self, self._limit)
            destination.release(self.batch)

    async def _pass(self, attempt: Attempt) -> None:
        """Try hosts until the messages are carried or no host is left."""
        agent, destination, settings = self._agent, self._destination, attempt.settings
        lost: tuple[Failure, int] | None = None
        busy_rank: int | None = None
        waits: list[datetime | None] = []
        walk = candidates(
            destination.domain,
            attempt.route,
            agent.resolver,
            agent.rng,
            preference=settings.ip_sort_pref or IpSortPref.PREFER_V6,
            own=own_addresses(attempt.snapshot.config),
            turn=agent.turn(attempt.route.domain) if attempt.route else 0,
            dane=attempt.dane,
        )
        try:
            async with aclosing(walk) as steps:
                async for step in steps:
                    if isinstance(step, HostProblem):
                        self._no_address(attempt, step)
                        continue
                    if destination.halted and lost is None:
                        return
                    if destination.halted or (busy_rank is not None and step.host.rank > busy_rank):
                        break
                    if isinstance(step, Skipped):
                        self._skip(attempt, step)
                        continue
                    if attempt.failed_at(step):
                        continue
                    if (held := destination.held(step, settings)) is not None:
                        busy_rank = step.host.rank
                        waits += held
                        continue
                    if agent.live().generation != attempt.snapshot.generation:
                        return
                    connection = await self._open(attempt, step)
                    if connection is not None:
                        lost = await self._use(attempt, connection)
                        if lost is None:
                            return
        except LookupFailed as failed:
            self._log_failed(failed)
            attempt.troubles.append(Trouble(failure=Failure.own("4.4.3", str(failed))))
        except HardFailure as hard:
            await destination.fail(self, attempt, self._taken(), hard.failure, 0)
            return
        await self._unserved(attempt, lost, waits)

    async def _unserved(self, attempt: Attempt, lost: tuple[Failure, int] | None, waits: list[datetime | None]) -> None:
        """No host is left. `waits`: until when a limit keeps mail from an address, None = until a connection to it has ended."""
        destination = self._destination
        if lost is not None:
            message = self.batch.pop(0)
            failures = {recipient.rid: lost[0] for recipient in message.recipients}
            await self._agent.results.failed(message, failures, lost[1], attempt.settings)
        elif waits and None not in waits:
            await destination.postpone(self, self._taken(), min(until for until in waits if until is not None))
        elif waits or destination.connected:
            self._superfluous = True
            destination.leave_to_others(self._taken())
        else:
            if not attempt.troubles:
                attempt.troubles.append(Trouble(failure=Failure.own("4.4.3", f"no host takes mail for {destination.domain}")))
            await destination.fail(self, attempt, self._taken(), *attempt.verdict)

    def _taken(self) -> Batch:
        batch, self.batch = self.batch, []
        return batch

    def _no_address(self, attempt: Attempt, problem: HostProblem) -> None:
        if problem.failed is not None:
            self._log_failed(problem.failed)
        attempt.troubles.append(Trouble.without_address(problem))

    def _skip(self, attempt: Attempt, skipped: Skipped) -> None:
        """Once in an attempt, however many workers come by."""
        if not attempt.has_skipped(skipped.host.name):
            trouble = Trouble.skipped(skipped)
            self._agent.logs.event("dcid.tls_failed", dcid=0, reason=trouble.failure.lines[0])
            attempt.troubles.append(trouble)

    def _log_failed(self, failed: LookupFailed) -> None:
        self._agent.logs.event("dns.temporary", host=failed.name, type=failed.kind, failure=failed.failure)

    # -- one connection -------------------------------------------------------------------------------------------------

    async def _open(self, attempt: Attempt, step: Candidate) -> Connection | None:
        """A connection that holds a place; None = this address failed, and is not contacted again in this attempt."""
        agent, destination = self._agent, self._destination
        if step.not_used and step.host.name not in attempt.without_dane:
            attempt.without_dane.add(step.host.name)
            agent.logs.event("dcid.dane_not_used", dcid=0, reason=step.not_used)
        destination.at_address[step.address] += 1
        try:
            await agent.take_place(destination.domain)
        except BaseException:
            destination.connection_ended(step.address)
            raise
        dcid = agent.queue.next_dcid()
        support = attempt.settings.tls_support or TlsSupport.NO
        try:
            return await agent.open(destination.domain, step, support, attempt.snapshot, dcid)
        except BaseException as error:
            agent.give_place(destination.domain)
            destination.connection_ended(step.address)
            if not isinstance(error, Unusable):
                raise
            attempt.troubles.append(Trouble.of(error, step, dcid))
            if error.reason is not None:
                agent.hosts.tls_failed(destination.domain, support.label, error.text, step.address)
            return None

    async def _use(self, attempt: Attempt, connection: Connection) -> tuple[Failure, int] | None:
        """Carry messages until the connection has served; then None, or why the first message in hand was lost on it."""
        self.connection = connection
        self._destination.open += 1
        self._carried = 0
        attempt.served = True
        self._agent.hosts.attempted(self._destination.domain, reached=True)
        records = Records(self._agent.queue.record_now)
        bodies: dict[int, bytes] = {}
        try:
            self._destination.grow()
            while True:
                if not self.batch and self._fresh(attempt, connection):
                    room = self._limit - connection.sent
                    if leased := self._destination.lease(self, room):
                        self.batch = await self._destination.sift(self, leased, attempt.settings)
                        self._destination.grow()
                        continue
                if not self.batch:
                    if not await self._rest(attempt, connection):
                        return None
                    continue
                if not self._fresh(attempt, connection):
                    return None
                message = self.message = self.batch[0]
                if message.mid not in bodies:
                    bodies = await self._agent.queue.bodies(_ahead(self.batch))
                left = await carry(
                    self._agent, self._destination.windows, attempt, connection, message, bodies.get(message.mid), records,
                    lambda: self._fresh(attempt, connection),
                )  # fmt: skip
                self.message = None
                self._carried = connection.sent
                self.batch[:1] = [message._replace(recipients=tuple(left))] if left else []
                await records.limit(UNRECORDED)
                if left and connection.wire.lost is not None:
                    failure = Failure.own("4.4.0", str(connection.wire.lost), remote=connection.target.address)
                    return failure, connection.dcid
        except BaseException:  # whatever it was: what is half sent is never completed
            connection.wire.abort()
            raise
        finally:
            try:
                await records.settle()
            finally:
                await self._end(connection)

    async def _end(self, connection: Connection) -> None:
        try:
            await self._agent.close(connection)
        finally:
            self.connection = None
            self._carried = 0
            self._destination.open -= 1
            self._destination.connection_ended(connection.target.address)
            self._agent.give_place(self._destination.domain)

    def _fresh(self, attempt: Attempt, connection: Connection) -> bool:
        """Whether the connection may carry another message."""
        wire = connection.wire
        return (
            wire.lost is None
            and not wire.pending
            and not connection.closing
            and not self._destination.halted
            and connection.sent < self._limit
            and self._agent.live().generation == attempt.snapshot.generation
        )

    async def _rest(self, attempt: Attempt, connection: Connection) -> bool:
        """Wait for more mail; False = the connection is to end."""
        agent, idle = self._agent, self._destination.idle
        if agent.crowded or not self._fresh(attempt, connection):
            return False
        loop = asyncio.get_running_loop()
        work: asyncio.Future[bool] = loop.create_future()

        def end() -> None:
            if not work.done():
                work.set_result(False)

        timer = loop.call_later(IDLE * agent.scale, end)
        connection.wire.on_input = end
        idle.append(work)
        agent.resting.add(self._destination)
        try:
            return await work
        finally:
            timer.cancel()
            connection.wire.on_input = None
            with suppress(ValueError):
                idle.remove(work)
            if not idle:
                agent.resting.discard(self._destination)


def _ahead(batch: Batch) -> list[int]:
    """MIDs of the first messages whose bodies may be read together; at least one."""
    octets = 0
    mids: list[int] = []
    for message in batch[:AHEAD_MESSAGES]:
        octets += message.size
        if mids and octets > AHEAD_OCTETS:
            break
        mids.append(message.mid)
    return mids
