"""What is due when: all queued envelopes in memory, by message and by destination domain. No I/O, no clock.

A parcel is one message's recipients of one domain. It is leased as a whole to one delivery at a time; while it is leased
it is in no heap, nor is a parcel that is held: because its message is in the work queue, where it counts for no domain, or
because deliveries to its domain are suspended. Parcels wait in a heap of their domain ordered by (due time, MID); domains whose first parcel is still
to come wait in one heap of all domains. Entries are not removed from heaps but recognized as outdated when they surface,
so that every operation costs the same with ten and with 100,000 messages. Recipients that become due within the same
second count as due together (delivery.md 8.1).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice

from attrs import define, field

from appliance_runtime.queue.envelope import Envelope, QueuedMessage, QueuedRecipient

SECOND = timedelta(seconds=1)


@define(eq=False)
class Recipient:
    rid: int
    address: str
    domain: str
    due: datetime
    attempts: int = 0
    last_reason: str = ""
    warnings: int = 0
    last_warning: datetime | None = None


@define(eq=False)
class Parcel:
    message: Message
    domain: str
    recipients: dict[int, Recipient] = field(factory=dict)
    leased: set[int] = field(factory=set)
    """RIDs that a delivery has in hand"""
    holder: object = None
    """who has them in hand"""
    queued: datetime | None = None
    """due time under which it stands in the heap of its domain"""
    suspended: bool = False
    """set aside by `suspend`"""

    @property
    def held(self) -> bool:
        return self.suspended or self.message.unprocessed


@define(eq=False)
class Message:
    envelope: Envelope
    parcels: dict[str, Parcel] = field(factory=dict)
    recorded: bool = False
    """whether the database has rows about its recipients"""
    warned: bool = False
    """whether it has rows about delay warnings"""
    unprocessed: bool = False
    """in the work queue, not yet handed to delivery"""

    def listing(self, recipients: Iterable[Recipient]) -> QueuedMessage:
        envelope = self.envelope
        return QueuedMessage(
            mid=envelope.mid,
            sender=envelope.sender,
            received=envelope.received,
            bounce_profile=envelope.bounce_profile,
            listener=envelope.listener,
            size=envelope.size,
            recipients=tuple(
                QueuedRecipient(
                    rid=r.rid,
                    address=r.address,
                    attempts=r.attempts,
                    last_reason=r.last_reason,
                    warnings=r.warnings,
                    last_warning=r.last_warning,
                )
                for r in sorted(recipients, key=lambda recipient: recipient.rid)
            ),
        )


@define(eq=False)
class _Domain:
    heap: list[tuple[datetime, int]] = field(factory=list)
    announced: datetime | None = None
    """due time under which it stands in the heap of all domains"""
    active: int = 0
    attempted: int = 0


class Schedule:
    """All queued messages. `now` is always the appliance clock."""

    def __init__(self) -> None:
        self.messages: dict[int, Message] = {}
        self.active_recipients = 0
        self.attempted_recipients = 0
        self.unprocessed: dict[int, None] = {}
        """MIDs of the messages in the work queue, in the order in which they came"""
        self._domains: dict[str, _Domain] = {}
        self._due: set[str] = set()
        self._timeline: list[tuple[datetime, str]] = []
        self._ages: list[tuple[datetime, int]] = []

    # changes

    def add(
        self, envelope: Envelope, recipients: Iterable[Recipient], now: datetime, *, recorded: bool = False, unprocessed: bool = False
    ) -> set[str]:
        """Take a message in; returns the domains of its recipients. `unprocessed`: it stays in the work queue."""
        message = Message(envelope, recorded=recorded, unprocessed=unprocessed)
        for recipient in recipients:
            parcel = message.parcels.get(recipient.domain)
            if parcel is None:
                parcel = message.parcels[recipient.domain] = Parcel(message, recipient.domain)
            parcel.recipients[recipient.rid] = recipient
            message.warned = message.warned or recipient.warnings > 0
        self.messages[envelope.mid] = message
        heapq.heappush(self._ages, (envelope.received, envelope.mid))
        if unprocessed:
            self.unprocessed[envelope.mid] = None
        else:
            self._enter(message, now)
        return set(message.parcels)

    def process(self, now: datetime, limit: int, pause: int) -> tuple[set[str], bool]:
        """Hand up to `limit` messages of the work queue to delivery, but none that came during `pause`.

        Returns the domains concerned, and whether there are more.
        """
        domains: set[str] = set()
        mids = [mid for mid in islice(self.unprocessed, limit) if not 0 < pause == self.messages[mid].envelope.pause]
        for mid in mids:
            del self.unprocessed[mid]
            message = self.messages[mid]
            message.unprocessed = False
            self._enter(message, now)
            domains |= set(message.parcels)
        return domains, len(mids) == limit

    def _enter(self, message: Message, now: datetime) -> None:
        """Count a message for its domains, and have it wait there."""
        for parcel in message.parcels.values():
            domain = self._domains.get(parcel.domain)
            if domain is None:
                domain = self._domains[parcel.domain] = _Domain()
            for recipient in parcel.recipients.values():
                self._count(domain, recipient, 1)
            self._enqueue(parcel, now)

    def suspend(self, name: str, now: datetime, limit: int) -> list[int]:
        """Set aside up to `limit` messages that are due to a domain, until `resume`; returns the MIDs."""
        horizon = _horizon(now)
        aside: list[int] = []
        while len(aside) < limit and (head := self._head(name)) and head[0] < horizon:
            parcel = self.messages[head[1]].parcels[name]
            heapq.heappop(self._domains[name].heap)
            parcel.queued = None
            parcel.suspended = True
            aside.append(head[1])
        self._file(name, horizon)
        return aside

    def resume(self, resumed: Callable[[str], bool], now: datetime) -> set[str]:
        """Have wait again what `suspend` set aside, for the domains that are `resumed`; returns these."""
        domains = set()
        for message in self.messages.values():
            for parcel in message.parcels.values():
                if parcel.suspended and resumed(parcel.domain):
                    parcel.suspended = False
                    self._enqueue(parcel, now)
                    domains.add(parcel.domain)
        return domains

    def lease(self, name: str, now: datetime, limit: int, holder: object = None) -> list[QueuedMessage]:
        """The first `limit` messages with due recipients of the domain, in order of due time, then MID."""
        taken: list[QueuedMessage] = []
        horizon = _horizon(now)
        while len(taken) < limit and (head := self._head(name)) and head[0] < horizon:
            parcel = self.messages[head[1]].parcels[name]
            heapq.heappop(self._domains[name].heap)
            parcel.queued = None
            due = [recipient for recipient in parcel.recipients.values() if recipient.due < horizon]
            parcel.leased = {recipient.rid for recipient in due}
            parcel.holder = holder
            taken.append(parcel.message.listing(due))
        self._file(name, horizon)
        return taken

    def release(self, mid: int, name: str, now: datetime) -> None:
        """Give a lease back. Unknown messages are ignored: they may have been set aside meanwhile."""
        message = self.messages.get(mid)
        parcel = message.parcels.get(name) if message else None
        if parcel is not None:
            parcel.leased.clear()
            self._enqueue(parcel, now)

    def give_back(self, name: str, holder: object, now: datetime) -> None:
        """End every lease of somebody who will report nothing any more. Costs a look at all messages."""
        for message in self.messages.values():
            parcel = message.parcels.get(name)
            if parcel is not None and parcel.leased and parcel.holder is holder:
                parcel.leased.clear()
                self._enqueue(parcel, now)

    def complete(self, mid: int, rids: Sequence[int], now: datetime) -> bool:
        """Recipients that need nothing more; True when the message has none left and is gone."""
        message = self.messages.get(mid)
        if message is None:
            return True
        for parcel in list(message.parcels.values()):
            done = [rid for rid in rids if rid in parcel.recipients]
            for rid in done:
                recipient = parcel.recipients.pop(rid)
                if not message.unprocessed:
                    self._count(self._domains[parcel.domain], recipient, -1)
            if not parcel.recipients:
                del message.parcels[parcel.domain]
                if not message.unprocessed:
                    self._leave(parcel.domain, now)
            elif done:
                self._settle(parcel, done, now)
        if not message.parcels:
            del self.messages[mid]
            self.unprocessed.pop(mid, None)
        return not message.parcels

    def defer(
        self, mid: int, rids: Sequence[int], next_attempt: datetime, reason: str, now: datetime, *, failed: bool = True
    ) -> list[Recipient]:
        """One more failed attempt, or, unless `failed`, only a later one; returns the recipients concerned."""
        message = self.messages.get(mid)
        deferred: list[Recipient] = []
        for parcel in message.parcels.values() if message else ():
            done = [rid for rid in rids if rid in parcel.recipients]
            for rid in done:
                recipient = parcel.recipients[rid]
                if failed:
                    if not recipient.attempts:
                        self._domains[parcel.domain].attempted += 1
                        self.attempted_recipients += 1
                    recipient.attempts += 1
                    recipient.last_reason = reason
                recipient.due = next_attempt
                deferred.append(recipient)
            if done:
                self._settle(parcel, done, now)
        return deferred

    def warn(self, mid: int, rids: Sequence[int], now: datetime) -> list[Recipient]:
        """The sender has been told that these recipients are delayed; returns those that are still there."""
        message = self.messages.get(mid)
        warned: list[Recipient] = []
        for parcel in message.parcels.values() if message else ():
            warned += [parcel.recipients[rid] for rid in rids if rid in parcel.recipients]
        for recipient in warned:
            recipient.warnings += 1
            recipient.last_warning = now
        return warned

    def hurry(self, name: str | None, now: datetime) -> set[str]:
        """Make waiting recipients of a domain, or of all, due now (`delivernow`); returns the domains concerned."""
        hurried = set()
        for message in self.messages.values():
            for parcel in message.parcels.values() if name is None else filter(None, [message.parcels.get(name)]):
                if parcel.held:
                    continue
                for recipient in parcel.recipients.values():
                    if recipient.rid not in parcel.leased and recipient.due > now:
                        recipient.due = now
                        hurried.add(parcel.domain)
                if not parcel.leased:
                    self._enqueue(parcel, now)
        return hurried

    def claim(self, mid: int, rids: Sequence[int], now: datetime) -> QueuedMessage | None:
        """Lease certain recipients, due or not, for an operator; those in transmission are left out. None = none left."""
        message = self.messages.get(mid)
        claimed: list[Recipient] = []
        for parcel in message.parcels.values() if message else ():
            wanted = [parcel.recipients[rid] for rid in rids if rid in parcel.recipients]
            if wanted and not parcel.leased:
                parcel.queued = None
                parcel.leased = {recipient.rid for recipient in wanted}
                parcel.holder = None
                claimed += wanted
                self._file(parcel.domain, _horizon(now))
        return message.listing(claimed) if message and claimed else None

    # questions

    def domains_due(self, now: datetime) -> list[str]:
        """Domains with something due, the one that waits longest first."""
        self.wake(now)
        horizon = _horizon(now)
        heads = []
        for name in list(self._due):
            head = self._head(name)
            if head is None or head[0] >= horizon:
                self._file(name, horizon)
            else:
                heads.append((head, name))
        return [name for _, name in sorted(heads)]

    def is_due(self, name: str) -> bool:
        """Whether `lease` may have something for the domain; else `wake` tells when it has. Costs next to nothing."""
        return name in self._due

    def wake(self, now: datetime) -> list[str]:
        """Domains that have become due since the last call."""
        woken = []
        horizon = _horizon(now)
        while self._timeline and self._timeline[0][0] < horizon:
            moment, name = heapq.heappop(self._timeline)
            domain = self._domains.get(name)
            if domain is None or domain.announced != moment:
                continue
            domain.announced = None
            self._file(name, horizon)
            if name in self._due:
                woken.append(name)
        return woken

    def next_due(self) -> datetime | None:
        """When `wake` will return something."""
        while self._timeline:
            moment, name = self._timeline[0]
            domain = self._domains.get(name)
            head = self._head(name) if domain and domain.announced == moment else None
            if domain and head and head[0] == moment:
                return moment
            heapq.heappop(self._timeline)
            if domain and domain.announced == moment:
                domain.announced = None
                if head and name not in self._due:
                    self._announce(name, domain, head[0])
        return None

    def oldest(self) -> Envelope | None:
        while self._ages and self._ages[0][1] not in self.messages:
            heapq.heappop(self._ages)
        return self.messages[self._ages[0][1]].envelope if self._ages else None

    def domains(self) -> Iterator[tuple[str, int, int]]:
        """(domain, active recipients, attempted ones of them) of every domain with queued recipients."""
        return ((name, domain.active, domain.attempted) for name, domain in self._domains.items())

    def recipients(self, name: str) -> tuple[int, int]:
        """(active, attempted) of one domain."""
        domain = self._domains.get(name)
        return (domain.active, domain.attempted) if domain else (0, 0)

    # heaps

    def _enqueue(self, parcel: Parcel, now: datetime) -> None:
        if parcel.held:
            return
        due = min(recipient.due for recipient in parcel.recipients.values())
        if parcel.queued != due:
            parcel.queued = due
            heapq.heappush(self._domains[parcel.domain].heap, (due, parcel.message.envelope.mid))
        if parcel.domain not in self._due:  # else it stays there: one parcel more makes no other one wait
            self._file(parcel.domain, _horizon(now))

    def _settle(self, parcel: Parcel, rids: Sequence[int], now: datetime) -> None:
        """Recipients of a parcel have changed: the lease ends with its last one."""
        parcel.leased.difference_update(rids)
        if not parcel.leased:
            self._enqueue(parcel, now)

    def _head(self, name: str) -> tuple[datetime, int] | None:
        """First valid entry of a domain's heap."""
        domain = self._domains.get(name)
        while domain and domain.heap:
            due, mid = domain.heap[0]
            message = self.messages.get(mid)
            parcel = message.parcels.get(name) if message else None
            if parcel is not None and parcel.queued == due:
                return domain.heap[0]
            heapq.heappop(domain.heap)
        return None

    def _file(self, name: str, horizon: datetime) -> None:
        """Put a domain where it belongs: among the due ones, or into the heap of all domains."""
        head = self._head(name)
        if head is not None and head[0] < horizon:
            self._due.add(name)
            return
        self._due.discard(name)
        if head is not None:
            self._announce(name, self._domains[name], head[0])

    def _announce(self, name: str, domain: _Domain, due: datetime) -> None:
        if domain.announced is None or due < domain.announced:
            domain.announced = due
            heapq.heappush(self._timeline, (due, name))

    def _count(self, domain: _Domain, recipient: Recipient, one: int) -> None:
        domain.active += one
        self.active_recipients += one
        if recipient.attempts:
            domain.attempted += one
            self.attempted_recipients += one

    def _leave(self, name: str, now: datetime) -> None:
        """A parcel of the domain is gone; so is the domain with its last one."""
        if self._domains[name].active:
            self._file(name, _horizon(now))
        else:
            del self._domains[name]
            self._due.discard(name)


def _horizon(now: datetime) -> datetime:
    """End of the current second."""
    return now.replace(microsecond=0) + SECOND
