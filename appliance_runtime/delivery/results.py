"""What became of recipients: lines of the log, queue, counters, bounces and delay warnings (delivery.md 8, routing.md 5, 6).

A bounce is in the queue before its recipient leaves it: a crash in between tells the sender twice, never not at all.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from attrs import define, frozen

from appliance_runtime.clock import Clock, log_date
from appliance_runtime.delivery.bounces import Concerned, Notice, compose
from appliance_runtime.delivery.failures import TRANSIENT, Failure, expired
from appliance_runtime.delivery.host_states import HostStates
from appliance_runtime.delivery.replies import Reply
from appliance_runtime.delivery.schedule import effective_profile, exhausted, pause
from appliance_runtime.logs.escaping import quote
from appliance_runtime.logs.writer import EventLog
from appliance_runtime.metrics import Counters
from appliance_runtime.queue.envelope import NewMessage, QueuedMessage, QueuedRecipient, Settle
from appliance_runtime.queue.errors import QueueError, QueueFull
from appliance_runtime.queue.message_queue import MessageQueue
from appliance_runtime.snapshot import Snapshot
from appliance_state.model.bounces import DEFAULT_PROFILE, BounceProfile
from appliance_state.model.destinations import Destination

_KINDS = {"5.1.2": "dns", "5.4.7": "expired"}
"""counters of hard bounces by status; else by who said so"""
_FIELD = re.compile(rb"^([!-9;-~]+)[ \t]*:[ \t]*([^\r\n]*(?:\r\n[ \t][^\r\n]*)*)", re.MULTILINE)


@frozen(kw_only=True)
class Delivered:
    """A successful transaction. `reply` None = never received, or none needed."""

    dcid: int
    rids: Sequence[int]
    reply: Reply | None = None
    possible: bool = False


@define(eq=False)
class Results:
    live: Callable[[], Snapshot]
    queue: MessageQueue
    logs: EventLog
    clock: Clock
    counters: Counters
    hosts: HostStates
    rng: random.Random

    # -- delivered ----------------------------------------------------------------------------------------------------

    def announce(self, message: QueuedMessage, delivered: Delivered, body: bytes = b"") -> None:
        """The lines of a delivery, as soon as it has happened."""
        settings = self.live().config.log_globals
        rids = list(delivered.rids)
        if delivered.possible:
            self.logs.event("mid.possible_delivery", dcid=delivered.dcid, mid=message.mid, rids=rids)
        headers = logged_headers(body, settings.headers) if settings.headers else ""
        self.logs.event("mid.delivered", dcid=delivered.dcid, mid=message.mid, rids=rids, headers=headers)
        if delivered.reply is not None and settings.remote_response:
            self.logs.event("mid.response", mid=message.mid, rids=rids, response="\\n".join(delivered.reply.lines))
        self.counters.add("delivered_recips", len(rids))
        self.hosts.counted(message, "delivered_recips", len(rids))

    def complete(self, message: QueuedMessage, rids: Sequence[int], settle: Settle) -> None:
        """These recipients need nothing more; `settle` is called when that is durable. Errors: QueueError."""

        def stored(error: Exception | None) -> None:
            if gone and error is None:
                self.logs.event("mid.finished", mid=message.mid, outcome="done")
            settle(error)

        gone = self.queue.complete(message.mid, rids, stored)

    # -- failed -------------------------------------------------------------------------------------------------------

    async def failed(
        self, message: QueuedMessage, failures: Mapping[int, Failure], dcid: int, settings: Destination, ended: datetime | None = None
    ) -> None:
        """Recipients by RID with what was wrong; ends one attempt for each of them, now or at `ended`."""
        profile = effective_profile(self.live().config, settings, message.bounce_profile)
        now = ended or self.clock.now()
        bounced: list[tuple[QueuedRecipient, Failure]] = []
        delayed: list[tuple[QueuedRecipient, Failure]] = []
        for recipient in message.recipients:
            failure = failures.get(recipient.rid)
            if failure is None:
                continue
            if failure.hard:
                bounced.append((recipient, failure))
                continue
            self.logs.event("mid.delayed", dcid=dcid, mid=message.mid, rid=recipient.rid, **failure.fields)
            self.counters.add("soft_bounced_evts")
            self.hosts.counted(message, "soft_bounced_evts")
            if exhausted(profile, recipient.attempts + 1):
                bounced.append((recipient, expired(failure.reason)))
            else:
                delayed.append((recipient, failure))
        await self._defer(message, delayed, profile, now)
        if bounced:
            await self._bounce(message, bounced, dcid, profile)

    async def expire(self, message: QueuedMessage, settings: Destination) -> None:
        """The message is too old: a hard bounce in place of the attempt."""
        profile = effective_profile(self.live().config, settings, message.bounce_profile)
        bounced = [(recipient, expired(recipient.last_reason)) for recipient in message.recipients]
        await self._bounce(message, bounced, 0, profile, attempted=False)

    async def given_up(self, message: QueuedMessage, failure: Failure, settings: Destination) -> None:
        """An operator wants these recipients bounced; no attempt is made."""
        profile = effective_profile(self.live().config, settings, message.bounce_profile)
        await self._bounce(message, [(recipient, failure) for recipient in message.recipients], 0, profile, attempted=False)

    async def deleted(self, message: QueuedMessage) -> None:
        """An operator has removed these recipients; nobody is told."""
        rids = [recipient.rid for recipient in message.recipients]
        self.logs.event("mid.deleted", mid=message.mid, rids=rids)
        self.counters.add("deleted_recips", len(rids))
        self.hosts.counted(message, "deleted_recips", len(rids))
        if await self.queue.bounced(message.mid, rids):
            self.logs.event("mid.finished", mid=message.mid, outcome="done")

    async def _defer(
        self, message: QueuedMessage, delayed: Sequence[tuple[QueuedRecipient, Failure]], profile: BounceProfile, now: datetime
    ) -> None:
        alike: defaultdict[tuple[datetime, str], list[int]] = defaultdict(list)
        for recipient, failure in delayed:
            alike[now + pause(profile, recipient.attempts + 1), failure.reason].append(recipient.rid)
        for (moment, _), rids in alike.items():
            self.pending(message, rids, moment)
        for (moment, reason), rids in alike.items():
            await self.queue.deferred(message.mid, rids, next_attempt=moment, reason=reason)
        if delayed and message.sender and profile.send_warnings:
            await self._warn(message, delayed, profile, now)

    def pending(self, message: QueuedMessage, rids: Sequence[int], moment: datetime) -> None:
        """The line about recipients that wait."""
        date = log_date(moment, self.live().config.system.timezone)
        self.logs.event("mid.pending", mid=message.mid, rids=list(rids), date=date)

    async def _bounce(
        self,
        message: QueuedMessage,
        bounced: Sequence[tuple[QueuedRecipient, Failure]],
        dcid: int,
        profile: BounceProfile,
        *,
        attempted: bool = True,
    ) -> None:
        lookups = {failure.lookup for _, failure in bounced if failure.lookup}
        for name, kind, absence in sorted(lookups):
            self.logs.event("dns.hard", host=name, type=kind, failure=absence)
        for recipient, failure in bounced:
            self._log_bounce(message, recipient, failure, dcid)
        concerned = [
            Concerned(address=recipient.address, failure=failure, retries=max(0, recipient.attempts - (0 if attempted else 1)))
            for recipient, failure in bounced
        ]
        rids = [recipient.rid for recipient, _ in bounced]
        if profile.send_bounces and message.sender and not await self._notify(message, concerned, profile):
            # No room for the bounce: the recipients stay, to fail once more later.
            await self.queue.postpone(message.mid, rids, self.clock.now() + timedelta(seconds=profile.initial_retry))
            return
        if await self.queue.bounced(message.mid, rids):
            self.logs.event("mid.finished", mid=message.mid, outcome="done")

    def _log_bounce(self, message: QueuedMessage, recipient: QueuedRecipient, failure: Failure, dcid: int) -> None:
        self.logs.event("mid.bounced", dcid=dcid, mid=message.mid, rid=recipient.rid, **failure.fields)
        self.logs.event(
            "bounces.bounced",
            dcid=dcid,
            mid=message.mid,
            rid=recipient.rid,
            sender=message.sender,
            recipient=recipient.address,
            **failure.fields,
        )
        kind = _KINDS.get(failure.status) or ("5xx" if failure.answered else "other")
        self.counters.add(f"{kind}_hard_bounced_recips")
        self.hosts.counted(message, f"{kind}_hard_bounced_recips")
        self.hosts.refused(message, failure)
        if not message.sender:
            self.logs.event(
                "mid.double_bounce",
                mid=message.mid,
                rid=recipient.rid,
                status=failure.status,
                status_text=failure.text,
                reply=failure.reply,
            )

    # -- telling the sender ---------------------------------------------------------------------------------------------

    async def _warn(
        self, message: QueuedMessage, delayed: Sequence[tuple[QueuedRecipient, Failure]], profile: BounceProfile, now: datetime
    ) -> None:
        """Delay warnings: only for answers 4xx to a second or later attempt."""
        interval = timedelta(seconds=profile.send_warnings_interval)
        if now - message.received <= interval:
            return
        rids: list[int] = []
        concerned: list[Concerned] = []
        for recipient, failure in delayed:
            answered = failure.answered and int(failure.code) >= TRANSIENT
            long_ago = recipient.last_warning is None or now - recipient.last_warning >= interval
            if answered and recipient.attempts >= 1 and recipient.warnings < profile.send_warnings_count and long_ago:
                rids.append(recipient.rid)
                concerned.append(Concerned(address=recipient.address, failure=failure, retries=recipient.attempts))
        if concerned:
            until = message.received + timedelta(seconds=profile.max_queue_lifetime)
            if await self._notify(message, concerned, profile, until):
                await self.queue.warned(message.mid, rids)

    async def _notify(
        self, message: QueuedMessage, concerned: Sequence[Concerned], profile: BounceProfile, until: datetime | None = None
    ) -> bool:
        """Put a bounce or, with `until`, a warning into the queue; False = the queue does not take it."""
        config = self.live().config
        zone = ZoneInfo(config.system.timezone)
        now = self.clock.now()
        recipient = profile.bounce_address or message.sender
        try:
            original = await self.queue.body(message.mid)
        except QueueError:
            original = b""
        notice = Notice(
            hostname=config.system.hostname,
            recipient=recipient,
            profile=profile,
            concerned=concerned,
            original=original,
            date=now.astimezone(zone).replace(microsecond=0),
            retry_until=until.astimezone(zone).replace(microsecond=0) if until else None,
        )
        octets = compose(notice, self.rng)
        mid = self.queue.next_mid()
        body = self.queue.new_body()
        body.write(octets)
        self.logs.event("mid.bounce_generated", new_mid=mid, mid=message.mid)
        self.logs.event("mid.start", mid=mid, icid=0)
        self.logs.event("mid.from", mid=mid, icid=0, sender="")
        self.logs.event("mid.to", mid=mid, icid=0, rid=0, recipient=recipient)
        self.logs.event("mid.ready", mid=mid, size=len(octets), sender="")
        new = NewMessage(
            mid=mid,
            sender="",
            recipients=(recipient,),
            body=body,
            received=now,
            listener=None,
            bounce_profile=DEFAULT_PROFILE,
            direction="outbound",
            icid=0,
        )
        try:
            await self.queue.accept(new)
        except (QueueError, QueueFull) as error:
            self.logs.event("mid.aborted", mid=mid, reason=str(error))
            return False
        self.logs.event("mid.queued", mid=mid)
        self.counters.add("gen_bounce_recips")
        return True


def logged_headers(body: bytes, wanted: frozenset[str]) -> str:
    """` [('X-Lab', 'value')]`: the fields that operators want in the line of a delivery; empty if there are none."""
    names = {name.lower(): name for name in wanted}
    found = []
    for match in _FIELD.finditer(body.partition(b"\r\n\r\n")[0]):
        name = match[1].decode("ascii").lower()
        if name in names:
            value = match[2].replace(b"\r\n", b"")
            found.append(f"({quote(names[name])}, {quote(value)})")
    return f" [{', '.join(found)}]" if found else ""
