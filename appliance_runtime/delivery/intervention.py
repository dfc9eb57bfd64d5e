"""What operators do to queued mail: remove or bounce it, have it tried at once (operations.md 4.2 to 4.4).

Only recipients in the delivery queue count: not those in transmission at this moment, nor messages in the work queue.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING

from attrs import frozen

from appliance_runtime.delivery.failures import Failure
from appliance_runtime.queue.envelope import QueuedMessage, QueuedRecipient
from appliance_runtime.queue.schedule import Message, Recipient
from appliance_state.model.destinations import effective_destination

if TYPE_CHECKING:
    from appliance_runtime.delivery.agent import DeliveryAgent

BY_OPERATOR = Failure.own("5.0.0", "Bounced by administrator")
AT_ONCE = 500
"""messages that are worked on at the same time, so that they share transactions of the queue"""


@frozen(kw_only=True)
class Selection:
    """Which recipients are meant: those of a `host` (`.host`: of its subdomains), of a `sender`, or all."""

    host: str | None = None
    sender: str | None = None

    def of(self, message: Message) -> list[Recipient]:
        """The recipients of a message that are meant."""
        if message.unprocessed or (self.sender is not None and message.envelope.sender.lower() != self.sender.lower()):
            return []
        return [
            recipient
            for parcel in message.parcels.values()
            if self._meant(parcel.domain)
            for recipient in parcel.recipients.values()
            if recipient.rid not in parcel.leased
        ]

    def _meant(self, domain: str) -> bool:
        if self.host is None:
            return True
        return domain.endswith(self.host) if self.host.startswith(".") else domain == self.host


def selected(agent: DeliveryAgent, selection: Selection) -> Iterator[tuple[int, list[int]]]:
    """(MID, RIDs) by MID. Not to be kept over a pause of the caller."""
    for message in agent.queue.messages():
        if recipients := selection.of(message):
            yield message.envelope.mid, sorted(recipient.rid for recipient in recipients)


async def delete(agent: DeliveryAgent, selection: Selection) -> int:
    """Remove recipients without a bounce; returns the number of messages concerned. Errors: QueueError."""

    async def remove(message: QueuedMessage) -> None:
        await agent.results.deleted(message)

    return await _each(agent, selection, remove)


async def bounce(agent: DeliveryAgent, selection: Selection) -> int:
    """Hard-bounce recipients, with a bounce by the profile; returns the number of messages concerned. Errors: QueueError."""

    async def give_up(message: QueuedMessage) -> None:
        by_domain: defaultdict[str, list[QueuedRecipient]] = defaultdict(list)
        destinations = agent.live().config.destinations
        stored = agent.queue.message(message.mid)
        domains = {rid: parcel.domain for parcel in stored.parcels.values() for rid in parcel.recipients} if stored else {}
        for recipient in message.recipients:
            by_domain[domains.get(recipient.rid, "")].append(recipient)
        for domain, recipients in by_domain.items():
            part = message._replace(recipients=tuple(recipients))
            await agent.results.given_up(part, BY_OPERATOR, effective_destination(domain, destinations))

    return await _each(agent, selection, give_up)


async def _each(agent: DeliveryAgent, selection: Selection, act: Callable[[QueuedMessage], Awaitable[None]]) -> int:
    found = list(selected(agent, selection))
    count = 0
    for start in range(0, len(found), AT_ONCE):
        claimed = [message for mid, rids in found[start : start + AT_ONCE] if (message := agent.queue.claim(mid, rids)) is not None]
        await asyncio.gather(*(act(message) for message in claimed))
        count += len(claimed)
    return count


async def remove(agent: DeliveryAgent, mid: int) -> bool:
    """Remove one message; False = it is not in the queue, or all of it is in transmission. Errors: QueueError."""
    message = agent.queue.message(mid)
    if message is None:
        return False
    claimed = agent.queue.claim(mid, [rid for parcel in message.parcels.values() for rid in parcel.recipients])
    if claimed is None:
        return False
    await agent.results.deleted(claimed)
    return True


def deliver_now(agent: DeliveryAgent, domain: str | None) -> None:
    """Have everything that waits for a domain, or for all (None), tried at once. For all, recipient windows begin anew."""
    if domain is None:
        agent.reset_limits()
    agent.queue.deliver_now(domain)
