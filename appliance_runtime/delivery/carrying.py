"""A message over a connection: as many transactions as it needs, their lines, and their records (delivery.md 2.3, 8).

What was delivered is made durable while the next message is already on its way; a crash in between delivers it twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from attrs import define

from appliance_runtime.delivery.attempt import Attempt
from appliance_runtime.delivery.connection import NETWORK, Connection
from appliance_runtime.delivery.limits import Windows
from appliance_runtime.delivery.results import Delivered
from appliance_runtime.delivery.transaction import MAX_RECIPIENTS, Outcome, send
from appliance_runtime.queue.envelope import QueuedMessage, QueuedRecipient, Settle
from appliance_runtime.queue.errors import QueueError, UnreadableMessage

if TYPE_CHECKING:
    from appliance_runtime.delivery.agent import DeliveryAgent

READ_AGAIN = timedelta(seconds=60)
"""pause after a body could not be read"""
UNRECORDED = 16
"""records under way for one connection: so many messages of it may be delivered twice after a crash"""


@define(eq=False)
class Records:
    """What was delivered and is being made durable meanwhile. `hurry`: have that happen at once."""

    hurry: Callable[[], None]
    count: int = 0
    """under way"""
    _error: Exception | None = None
    _waiting: asyncio.Future[None] | None = None

    def begin(self) -> Settle:
        """One more; what it returns is to be called at its end."""
        self.count += 1
        return self._end

    def _end(self, error: Exception | None) -> None:
        self.count -= 1
        self._error = self._error or error
        if not self.count and self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def limit(self, most: int) -> None:
        """Until none is under way, if there are more than `most`. Errors: as `settle`."""
        if self.count > most:
            self.hurry()
            await self.settle()

    async def settle(self) -> None:
        """Until none is under way, whenever that will be. Errors: QueueError, when something could not be recorded."""
        if self.count:
            self._waiting = asyncio.get_running_loop().create_future()
            await self._waiting
        if self._error is not None:
            raise self._error


async def carry(
    agent: DeliveryAgent,
    windows: Windows,
    attempt: Attempt,
    connection: Connection,
    message: QueuedMessage,
    body: bytes | None,
    records: Records,
    fresh: Callable[[], bool],
) -> Sequence[QueuedRecipient]:
    """Returns the recipients that are still undecided. `body`: if it is known; `fresh`: the connection may go on.

    Errors: QueueError, when nothing can be recorded any more.
    """
    if body is None:
        try:
            body = await agent.queue.body(message.mid)
        except UnreadableMessage:
            return ()  # set aside by the queue, with its alert
        except QueueError:
            await postpone(agent, message, message.recipients, agent.clock.now() + READ_AGAIN)
            return ()
    rest: Sequence[QueuedRecipient] = message.recipients
    verbatim = agent.queue.verbatim(message.mid)
    settings, address = attempt.settings, connection.target.address
    while rest and fresh():
        now = rest[:MAX_RECIPIENTS]
        granted, until = windows.take(settings, address, len(now), agent.clock.now())
        if granted < len(now) and until is not None:
            await postpone(agent, message, rest[granted:], until)
            rest = now = now[:granted]
            if not now:
                break
        agent.logs.event("mid.delivery_start", dcid=connection.dcid, mid=message.mid, rids=[one.rid for one in now])
        possible = agent.live().config.delivery.possible_delivery
        outcome = await send(connection, message.sender, now, body, possible=possible, verbatim=verbatim)
        windows.give_back(settings, address, len(now) - outcome.named)
        await _record(agent, attempt, connection, message, outcome, body, records)
        if outcome.lost is not None:
            decided = {*outcome.delivered, *outcome.failed}
            return [one for one in rest if one.rid not in decided]
        rest = rest[MAX_RECIPIENTS:]
    return rest


async def postpone(agent: DeliveryAgent, message: QueuedMessage, recipients: Sequence[QueuedRecipient], until: datetime) -> None:
    """Recipients that a limit holds back: no attempt is counted."""
    rids = [recipient.rid for recipient in recipients]
    agent.results.pending(message, rids, until)
    await agent.queue.postpone(message.mid, rids, until)


async def _record(
    agent: DeliveryAgent,
    attempt: Attempt,
    connection: Connection,
    message: QueuedMessage,
    outcome: Outcome,
    body: bytes,
    records: Records,
) -> None:
    target = connection.target
    if outcome.lost is not None:
        agent.logs.event(
            "dcid.error", dcid=connection.dcid, domain=target.domain, ip=target.address, port=target.port, details=outcome.lost,
            source=connection.source.address, reason=NETWORK,
        )  # fmt: skip
    if outcome.delivered:
        delivered = Delivered(dcid=connection.dcid, rids=outcome.delivered, reply=outcome.reply, possible=outcome.possible)
        agent.results.announce(message, delivered, body)
        agent.results.complete(message, outcome.delivered, records.begin())
    if outcome.failed:
        await agent.results.failed(message, outcome.failed, connection.dcid, attempt.settings)
