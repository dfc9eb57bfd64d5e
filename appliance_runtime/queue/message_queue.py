"""The message queue: mail that was answered 250 and waits for delivery (delivery.md 8.1, performance.md rule 2).

`accept` returns when the message is on disk; messages that complete while one transaction is written share the next one.
Envelopes and due times are in memory, bodies on disk, the newest also in a bounded cache. Delivery leases what is due,
reports each recipient as delivered, deferred or bounced, and may be told twice to deliver after a crash, never zero times.
Everything but `open`, `close`, `accept`, `body` and the three reports is done at once in the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import zlib
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

from appliance_runtime.alerts.catalogue import Raise, disk_full, queue_corrupt
from appliance_runtime.clock import Clock
from appliance_runtime.queue.announcements import Announcements
from appliance_runtime.queue.bodies import BodyCache, StoredBodies
from appliance_runtime.queue.body import Body
from appliance_runtime.queue.database import (
    ADD_MESSAGE,
    PUT_ATTEMPT,
    PUT_WARNING,
    REMOVE_ATTEMPTS,
    REMOVE_MESSAGE,
    REMOVE_WARNINGS,
    RESERVE,
    Database,
    Statement,
    is_full,
    to_microseconds,
)
from appliance_runtime.queue.envelope import Envelope, NewMessage, QueuedMessage, QueuedRecipient, Settle, destination_domain
from appliance_runtime.queue.errors import QueueError, QueueFull, UnreadableMessage
from appliance_runtime.queue.opening import Start, begin
from appliance_runtime.queue.recovery import Places, rescue
from appliance_runtime.queue.schedule import Message, Recipient, Schedule
from appliance_runtime.queue.segments import LEAST
from appliance_runtime.queue.store import Store
from appliance_runtime.queue.takeover import TakeOver
from appliance_runtime.queue.writer import Change, Writer

__all__ = ["Body", "MessageQueue", "NewMessage", "QueueError", "QueueFull", "QueuedMessage", "QueuedRecipient", "UnreadableMessage"]

SIZE_LIMIT = 40 * 1024**3
"""octets of the database"""
AT_ONCE = 500
"""messages of the work queue that are handed to delivery in one step of the event loop"""
PREPARE_AFTER = 1.0
"""seconds of real time after the start"""
CACHE_LIMIT = 64 * 1024**2
"""octets"""


class MessageQueue:
    """Made by `open`. One for each directory at a time; its lock sees to it."""

    def __init__(self, places: Places, clock: Clock, database: Database, store: Store, start: Start) -> None:
        self.on_ready: Callable[[str], None] | None = None
        """called in the loop with a destination domain that has become due; `domains_due` tells what was so before"""
        self.on_fault: Callable[[str], None] | None = None
        """called in the loop when something has failed that was made good"""
        self.pause = 0
        """number of the pause of the work queue that is on; 0 = none"""
        self._places = places
        self._clock = clock
        self._database = database
        self._store_process = store
        store.report = lambda problem: self.on_fault and self.on_fault(problem)
        self._lock = start.lock
        self._numbers = start.numbers
        self._schedule = Schedule()
        self._cache = BodyCache(CACHE_LIMIT)
        self._stored = StoredBodies(places)
        self._spool = places.spool
        self._loop = asyncio.get_running_loop()
        self._segments = start.segments
        self._writer = Writer(store, start.segments, places.spool, self._loop)
        self._told = Announcements(self._schedule, clock, lambda domain: self.on_ready and self.on_ready(domain))
        self._takeover: TakeOver
        self._alert: Raise | None = None
        self._damaged: list[str] = start.aside
        self._full = False
        start.numbers.reserve = self._reserve

    @classmethod
    async def open(cls, directory: Path, clock: Clock, *, size_limit: int = SIZE_LIMIT, pause: int = 0) -> MessageQueue:
        """Open the queue of a directory, made where it is missing. `pause`: of the work queue, see there. Errors: QueueError."""
        places = Places(directory)
        database = Database(places.database, limit=size_limit)
        try:
            start = await asyncio.to_thread(begin, places, database, clock.now())
        except (OSError, sqlite3.Error) as error:
            database.close()
            raise QueueError(f"the queue cannot be opened: {error}") from error
        queue = cls(places, clock, database, Store(places.database, size_limit, start.lock), start)
        queue.pause = pause
        queue._takeover = TakeOver(
            places,
            queue._schedule,
            start,
            now=clock.now,
            pause=lambda: queue.pause,
            store=queue._store,
            rescue=queue._rescue,
            report_damage=queue._report_damage,
            done=queue._taken_over,
        )
        queue._takeover.begin()
        return queue

    def _rescue(self) -> str:
        """The database is damaged: what can still be read of it goes into a new one. In a thread. Errors: OSError, sqlite3.Error."""
        self._stored.close()
        return rescue(self._places, self._database, self._clock.now())

    def _taken_over(self) -> None:
        """All messages of earlier runs are known: delivery may begin."""
        self._told.begin()

    async def close(self) -> None:
        """Write what waits and let go of the directory."""
        self._told.end()
        await self._takeover.end()
        await self._writer.stop()
        exact = [(RESERVE, (name, number)) for name, number in self._numbers.coming().items()]
        with contextlib.suppress(sqlite3.Error):  # as after a crash: the next run skips the rest of the blocks
            await asyncio.to_thread(self._database.transaction, exact)
        await asyncio.to_thread(self._segments.close)
        self._stored.close()
        self._database.close()
        self._numbers.close()
        os.close(self._lock)

    async def prepare_soon(self) -> None:
        """Have ready what the first message would wait for: its start does not hurry."""
        await asyncio.sleep(PREPARE_AFTER)
        await self._store_process.begin()

    def report_to(self, alert: Raise) -> None:
        """Where damaged messages and a full disk are reported, those found at the start included."""
        self._alert = alert
        damaged, self._damaged = self._damaged, []
        for name in damaged:
            self._report_damage(name)

    # -- numbers ------------------------------------------------------------------------------------------------------

    def next_mid(self) -> int:
        return self._numbers.next("mid")

    def next_icid(self) -> int:
        return self._numbers.next("icid")

    def next_dcid(self) -> int:
        return self._numbers.next("dcid")

    def coming(self) -> dict[str, int]:
        """`mid`, `icid`, `dcid`: the numbers that will be given next."""
        return self._numbers.coming()

    def _reserve(self, bounds: dict[str, int]) -> None:
        with contextlib.suppress(QueueError):  # a closing queue still gives numbers
            self._writer.submit(Change([(RESERVE, (name, bound)) for name, bound in bounds.items()]))

    # -- receiving ----------------------------------------------------------------------------------------------------

    @property
    def spool(self) -> Path:
        """Directory of large bodies."""
        return self._spool

    def new_body(self) -> Body:
        return Body(self._spool)

    async def accept(self, message: NewMessage) -> None:
        """Store a message; returns when it is durable. Errors: QueueFull, QueueError; then it is not in the queue."""
        future: asyncio.Future[None] = self._loop.create_future()
        # Who gives up waiting gets no answer; the message is delivered all the same.
        self.submit(message, _outcome_of(future))
        await future

    def submit(self, message: NewMessage, settled: Settle) -> None:
        """`accept` without a coroutine: `settled` is called, some time later, where `accept` would return or raise."""
        body = message.body

        def settle(error: Exception | None) -> None:
            if error is None:
                self._add(envelope, body)
                self._full = False
            else:
                body.discard()
                if isinstance(error, QueueFull):
                    self._report_full()
            settled(error)

        if body.error is not None:
            self._loop.call_soon(settle, QueueFull(str(body.error)) if is_full(body.error) else QueueError(str(body.error)))
            return
        place = self._segments.place(body.size) if body.spool is None and body.size >= LEAST else None
        envelope = Envelope.of(message, place, self.pause if message.listener else 0)
        octets = envelope.octets()
        row = (message.mid, octets, zlib.crc32(octets), None if place or body.spool else body.octets())
        free = partial(self._segments.free, place) if place else None
        try:
            self._writer.submit(Change([(ADD_MESSAGE, row)], settle, adds=message.mid, body=body, place=place, free=free))
        except QueueError as error:
            self._loop.call_soon(settle, error)

    def _add(self, envelope: Envelope, body: Body) -> None:
        now = self._clock.now()
        recipients = [Recipient(rid, address, destination_domain(address), now) for rid, address in enumerate(envelope.recipients)]
        unprocessed = 0 < self.pause == envelope.pause
        domains = self._schedule.add(envelope, recipients, now, unprocessed=unprocessed)
        if body.spool is None:
            self._cache.put(envelope.mid, body.octets(), verbatim=body.verbatim)
        if not unprocessed:
            self._told.announce(domains)

    # -- work queue ---------------------------------------------------------------------------------------------------

    @property
    def unprocessed(self) -> int:
        """Messages in the work queue: those that were received while it is paused."""
        return len(self._schedule.unprocessed)

    def process(self) -> None:
        """End the pause of the work queue: hand everything in it to delivery, some at a time."""
        self.pause = 0
        self._process_some()

    def _process_some(self) -> None:
        domains, more = self._schedule.process(self._clock.now(), AT_ONCE, self.pause)
        self._told.announce(domains)
        if more:
            self._loop.call_soon(self._process_some)

    # -- delivery -----------------------------------------------------------------------------------------------------

    def due(self, domain: str, now: datetime, limit: int, holder: object = None) -> list[QueuedMessage]:
        """Lease up to `limit` messages with their due recipients of the domain, by due time, then MID.

        What is leased is the caller's until each recipient was reported or `release` was called. `holder`: for `give_back`.
        """
        messages = self._schedule.lease(domain, now, limit, holder)
        self._told.set_alarm()
        return messages

    def release(self, mid: int, domain: str) -> None:
        """Give a lease back untouched."""
        self._schedule.release(mid, domain, self._clock.now())
        self._told.set_alarm()

    def give_back(self, domain: str, holder: object) -> None:
        """Release everything that `holder` has leased and not reported: it has crashed."""
        self._schedule.give_back(domain, holder, self._clock.now())
        self._told.set_alarm()

    def domains_due(self, now: datetime) -> list[str]:
        """Domains with something due that is not leased, the one that waits longest first."""
        return self._schedule.domains_due(now) if self._told.begun else []

    def is_due(self, domain: str) -> bool:
        """Whether `due` may have something for a domain; else `on_ready` tells when it has. Costs next to nothing."""
        return self._schedule.is_due(domain)

    def next_due(self) -> datetime | None:
        """The next moment at which a domain becomes due; what is due already does not count."""
        return self._schedule.next_due()

    async def delivered(self, mid: int, rids: Sequence[int]) -> bool:
        """Nothing more is to be done for these recipients; True when the message has none left and is gone.

        Returns when this is durable, or, while storing fails, when it is remembered and will be stored.
        """
        future: asyncio.Future[None] = self._loop.create_future()
        gone = self.complete(mid, rids, _outcome_of(future))
        self.record_now()
        await future
        return gone

    def complete(self, mid: int, rids: Sequence[int], settle: Settle) -> bool:
        """`delivered` without a coroutine: `settle` is called, some time later, where `delivered` would return or raise. Errors: QueueError."""
        message = self._schedule.messages.get(mid)
        if message is None:
            self._loop.call_soon(settle, None)
            return True
        gone = self._schedule.complete(mid, rids, self._clock.now())
        self._told.set_alarm()
        if gone:
            change = self._removal(message)
        else:
            message.recorded = True
            change = Change([(PUT_ATTEMPT, (mid, rid, 1, 0, 0, b"")) for rid in rids])
        change.settle = settle
        self._writer.submit(change, patient=True)
        return gone

    def record_now(self) -> None:
        """What `complete` was told is to wait for nothing else."""
        self._writer.pass_on()

    async def bounced(self, mid: int, rids: Sequence[int]) -> bool:
        """As `delivered`: for recipients that failed for good, or were deleted."""
        return await self.delivered(mid, rids)

    async def deferred(self, mid: int, rids: Sequence[int], *, next_attempt: datetime, reason: str) -> None:
        """These recipients failed once more and are due again at `next_attempt`. Durable as in `delivered`."""
        message = self._schedule.messages.get(mid)
        if message is None:
            return
        deferred = self._schedule.defer(mid, rids, next_attempt, reason, self._clock.now())
        await self._store(self._record(message, deferred))

    async def postpone(self, mid: int, rids: Sequence[int], until: datetime) -> None:
        """These recipients wait for a limit: due again at `until`, no attempt is counted. Durable as in `delivered`."""
        message = self._schedule.messages.get(mid)
        if message is not None:
            waiting = self._schedule.defer(mid, rids, until, "", self._clock.now(), failed=False)
            await self._store(self._record(message, waiting))

    def suspend(self, domain: str, limit: int) -> list[int]:
        """Set aside up to `limit` messages that are due to a domain, until `resume`; returns the MIDs. They go on counting as queued."""
        aside = self._schedule.suspend(domain, self._clock.now(), limit)
        self._told.set_alarm()
        return aside

    def resume(self, resumed: Callable[[str], bool]) -> None:
        """Have wait again, with its old due times, what was set aside for the domains that are `resumed`."""
        self._told.announce(self._schedule.resume(resumed, self._clock.now()))
        self._told.set_alarm()

    async def warned(self, mid: int, rids: Sequence[int]) -> None:
        """The sender has been told once more that these recipients are delayed. Durable as in `delivered`."""
        message = self._schedule.messages.get(mid)
        now = self._clock.now()
        recipients = self._schedule.warn(mid, rids, now)
        if message is not None and recipients:
            message.warned = True
            await self._store(Change([(PUT_WARNING, (mid, one.rid, one.warnings, to_microseconds(now))) for one in recipients]))

    def deliver_now(self, domain: str | None = None) -> None:
        """Make everything that waits for a domain, or for all, due at once (`delivernow`)."""
        self._told.announce(self._schedule.hurry(domain, self._clock.now()))

    def claim(self, mid: int, rids: Sequence[int]) -> QueuedMessage | None:
        """Lease certain recipients, due or not, but not those in transmission; None when none is left."""
        return self._schedule.claim(mid, rids, self._clock.now())

    def _record(self, message: Message, waiting: Sequence[Recipient]) -> Change:
        """The new state of recipients that go on waiting."""
        self._told.set_alarm()
        message.recorded = True
        rows = [(message.envelope.mid, r.rid, 0, r.attempts, to_microseconds(r.due), _octets(r.last_reason)) for r in waiting]
        return Change([(PUT_ATTEMPT, row) for row in rows])

    def _removal(self, message: Message) -> Change:
        envelope = message.envelope
        self._cache.drop(envelope.mid)
        statements: list[Statement] = [(REMOVE_MESSAGE, (envelope.mid,))]
        if message.recorded:
            statements.append((REMOVE_ATTEMPTS, (envelope.mid,)))
        if message.warned:
            statements.append((REMOVE_WARNINGS, (envelope.mid,)))
        return Change(statements, free=partial(self._free, envelope) if envelope.spool or envelope.place else None)

    def _free(self, envelope: Envelope) -> None:
        if envelope.place is not None:
            self._segments.free(envelope.place)
        elif envelope.spool is not None:
            with contextlib.suppress(OSError):  # an orphan is removed at the next start
                (self._places.spool / envelope.spool).unlink(missing_ok=True)

    async def _store(self, change: Change) -> None:
        future: asyncio.Future[None] = self._loop.create_future()
        change.settle = _outcome_of(future)
        self._writer.submit(change)
        await future

    # -- bodies -------------------------------------------------------------------------------------------------------

    async def body(self, mid: int) -> bytes:
        """The octets of a message. Errors: UnreadableMessage (it has been set aside, the lease is void), QueueError."""
        cached = self._cache.get(mid)
        if cached is not None:
            return cached
        try:
            return await asyncio.to_thread(self.read_body, mid)
        except UnreadableMessage:
            await self._set_aside(mid)
            raise

    async def bodies(self, mids: Sequence[int]) -> dict[int, bytes]:
        """The bodies of several messages with one look at the disk; what is not in the answer is for `body` to read."""
        found = {mid: cached for mid in mids if (cached := self._cache.get(mid)) is not None}
        if len(found) < len(mids):
            messages = [self._schedule.messages[mid] for mid in mids if mid not in found and mid in self._schedule.messages]
            rows = [one.envelope for one in messages if one.envelope.spool is None and one.envelope.place is None]
            if rows:
                found |= await asyncio.to_thread(self._stored.read_rows, rows)
        return found

    def verbatim(self, mid: int) -> bool:
        """Whether a message is known to need neither dots nor line ends before it is sent. What is read from disk is not."""
        return self._cache.verbatim(mid)

    def read_body(self, mid: int) -> bytes:
        """As `body`, but blocking, and leaving a damaged message where it is."""
        message = self._schedule.messages.get(mid)
        if message is None:
            raise QueueError(f"MID {mid} is not in the queue")
        return self._stored.read(message.envelope)

    async def _set_aside(self, mid: int) -> None:
        message = self._schedule.messages.get(mid)
        if message is None:
            return
        envelope = message.envelope
        self._schedule.complete(mid, range(len(envelope.recipients)), self._clock.now())
        self._told.set_alarm()

        try:
            name = await asyncio.to_thread(self._stored.set_aside, envelope)
        except OSError:
            self._report_damage(
                envelope.spool or (envelope.place and envelope.place.segment) or self._places.database.name
            )  # it stays where it is, for the next start
            return
        self._report_damage(name)
        await self._store(self._removal(message))

    # -- questions ----------------------------------------------------------------------------------------------------

    @property
    def message_count(self) -> int:
        return len(self._schedule.messages)

    @property
    def active_recipients(self) -> int:
        """Recipients that are not completed."""
        return self._schedule.active_recipients

    @property
    def attempted_recipients(self) -> int:
        """Those of them with at least one failed attempt."""
        return self._schedule.attempted_recipients

    @property
    def transactions(self) -> int:
        """Number of transactions that were written in this run."""
        return self._store_process.transactions

    def oldest(self) -> Envelope | None:
        """Envelope of the message that was received first."""
        return self._schedule.oldest()

    def oldest_for(self, domain: str) -> datetime | None:
        """When the oldest message for a domain was received. Costs a look at all messages."""
        return min((message.envelope.received for message in self._schedule.messages.values() if domain in message.parcels), default=None)

    def domains(self) -> Iterator[tuple[str, int, int]]:
        """(domain, active recipients, attempted ones of them) of every domain in the queue."""
        return self._schedule.domains()

    def recipients(self, domain: str) -> tuple[int, int]:
        """(active, attempted) recipients of one domain."""
        return self._schedule.recipients(domain)

    def messages(self) -> Iterator[Message]:
        """Every message with its parcels, by MID. Not to be kept over a pause of the caller."""
        return iter(sorted(self._schedule.messages.values(), key=lambda message: message.envelope.mid))

    def message(self, mid: int) -> Message | None:
        return self._schedule.messages.get(mid)

    def _report_damage(self, name: str) -> None:
        if self._alert is None:
            self._damaged.append(name)
        else:
            self._alert(*queue_corrupt(name))

    def _report_full(self) -> None:
        if not self._full and self._alert is not None:
            self._alert(*disk_full(self._places.root, "messages"))
        self._full = True


def _outcome_of(future: asyncio.Future[None]) -> Settle:
    def settle(error: Exception | None) -> None:
        if not future.done():
            future.set_result(None) if error is None else future.set_exception(error)

    return settle


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
