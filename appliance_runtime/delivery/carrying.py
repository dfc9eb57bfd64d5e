"""A message over a connection: as many transactions as it needs, their lines, and their records (delivery.md 2.3, 8).

What was delivered is made durable while the next message is already on its way; a crash in between delivers it twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from appliance_runtime.delivery.attempt import Attempt
from appliance_runtime.delivery.connection import NETWORK, Connection
from appliance_runtime.delivery.limits import Windows
from appliance_runtime.delivery.results import Delivered
from appliance_runtime.delivery.transaction import MAX_RECIPIENTS, Outcome, send
from appliance_runtime.queue.envelope import QueuedMessage, QueuedRecipient
from appliance_runtime.queue.errors import QueueError, UnreadableMessage

if TYPE_CHECKING:
    from appliance_runtime.delivery.agent import DeliveryAgent

READ_AGAIN = timedelta(seconds=60)
"""pause after a body could not be read"""

Record = asyncio.Task[None]
"""what is being made durable"""


async def carry(
    agent: DeliveryAgent, windows: Windows, attempt: Attempt, connection: Connection, message: QueuedMessage, fresh: Callable[[], bool]
) -> tuple[Sequence[QueuedRecipient], Record | None]:
    """Returns the recipients that are still undecided, and a record under way. `fresh`: the connection may go on.

    Errors: QueueError, when nothing can be recorded any more.
    """
    try:
        body = await agent.queue.body(message.mid)
    except UnreadableMessage:
        return (), None  # set aside by the queue, with its alert
    except QueueError:
        await postpone(agent, message, message.recipients, agent.clock.now() + READ_AGAIN)
        return (), None
    rest: Sequence[QueuedRecipient] = message.recipients
    granted, until = windows.take(attempt.settings, connection.target.address, len(rest), agent.clock.now())
    if granted < len(rest) and until is not None:
        await postpone(agent, message, rest[granted:], until)
        rest = rest[:granted]
    record: Record | None = None
    while rest and fresh():
        now = rest[:MAX_RECIPIENTS]
        agent.logs.event("mid.delivery_start", dcid=connection.dcid, mid=message.mid, rids=[one.rid for one in now])
        possible = agent.live().config.delivery.possible_delivery
        outcome = await send(connection, message.sender, now, body, possible=possible)
        if record is not None:
            await record
        record = await _record(agent, attempt, connection, message, outcome, body)
        if outcome.lost is not None:
            decided = {*outcome.delivered, *outcome.failed}
            return [one for one in rest if one.rid not in decided], record
        rest = rest[MAX_RECIPIENTS:]
    return rest, record


async def postpone(agent: DeliveryAgent, message: QueuedMessage, recipients: Sequence[QueuedRecipient], until: datetime) -> None:
    """Recipients that a limit holds back: no attempt is counted."""
    rids = [recipient.rid for recipient in recipients]
    agent.results.pending(message, rids, until)
    await agent.queue.postpone(message.mid, rids, until)


async def _record(
    agent: DeliveryAgent, attempt: Attempt, connection: Connection, message: QueuedMessage, outcome: Outcome, body: bytes
) -> Record | None:
    target = connection.target
    if outcome.lost is not None:
        agent.logs.event(
            "dcid.error", dcid=connection.dcid, domain=target.domain, ip=target.address, port=target.port, details=outcome.lost,
            source=connection.source.address, reason=NETWORK,
        )  # fmt: skip
    record: Record | None = None
    if outcome.delivered:
        delivered = Delivered(dcid=connection.dcid, rids=outcome.delivered, reply=outcome.reply, possible=outcome.possible)
        agent.results.announce(message, delivered, body)
        record = asyncio.get_running_loop().create_task(agent.results.complete(message, outcome.delivered))
    if not outcome.failed:
        return record
    if record is not None:
        await record
    await agent.results.failed(message, outcome.failed, connection.dcid, attempt.settings)
    return None
