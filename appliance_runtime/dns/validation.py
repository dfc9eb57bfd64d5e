"""Validation on the appliance: every answer is followed to a trust anchor (RFC 4035 5, routing.md 2 `validate`).

All is asked of the configured servers with CD, so that data which they hold for bogus come out too, and are judged here. From
the root down each name is asked for DS records: they lead to the keys of the next zone, or the zone above proves that there
are none. What was learned of a name is kept as long as the records and signatures behind it last, a day at most; failures and
bogus answers are not kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, cast

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rrset
from attrs import evolve, frozen
from dns.rdatatype import RdataType
from dns.rdtypes.ANY.RRSIG import RRSIG

from appliance_runtime.clock import Clock
from appliance_runtime.dns.answers import Absence, LookupFailed, Security
from appliance_runtime.dns.cache import Cache
from appliance_runtime.dns.names import shown, text_of
from appliance_runtime.dns.signatures import Bogus, Effort, Lifetime, Zone, signatures_of, usable_delegation, zone_of_keys
from appliance_runtime.dns.steps import MAX_ALIASES, Alias, Step, bogus, dname_above, find
from appliance_runtime.dns.trust_anchors import Anchor
from appliance_runtime.dns.upstream import Upstream
from appliance_runtime.dns.verdicts import Cut, Verdict, denial_signatures, judge_absence, judge_cut, judge_records, signer_of

LONGEST = timedelta(days=1)
MAX_RRSETS = 128
"""kinds of records in one answer"""
MAX_DEPTH = 48
"""labels of a name that is followed to its zone"""


@frozen(kw_only=True)
class Link:
    """What is known of one name on the way down. `zone`: keys of a zone that begins here; None = see `cut`."""

    zone: Zone | None = None
    cut: Cut = Cut.INSIDE
    expires: datetime


class Validator:
    """`anchors`: of the root zone."""

    def __init__(self, upstream: Upstream, clock: Clock, anchors: tuple[Anchor, ...]) -> None:
        self._upstream = upstream
        self._clock = clock
        self._anchors = anchors
        self._links: Cache[dns.name.Name, Link] = Cache(clock)

    def flush(self) -> None:
        """Forget all keys and proofs."""
        self._links.flush()

    async def reach_root(self) -> None:
        """Errors: LookupFailed, when the keys of the root cannot be had or are not those of the anchors."""
        await self._zone(dns.name.root)

    async def step(self, name: dns.name.Name, kind: RdataType) -> Step:
        """One answer, judged. Errors: LookupFailed."""
        try:
            return await self._judge(await self._ask(name, kind), name, kind, Effort())
        except Bogus as problem:
            raise bogus(name, kind, str(problem)) from None
        except LookupFailed as failed:  # of a name on the way down
            reason = failed.reason or f"{failed.name or '.'} {failed.kind}: {failed.failure}"
            raise LookupFailed(text_of(name), kind.name, failed.failure, security=failed.security, reason=reason) from None

    async def _ask(self, name: dns.name.Name, kind: RdataType) -> dns.message.Message:
        """Errors: LookupFailed; Bogus, when it would take too long to look through the answer."""
        response = await self._upstream.ask(name, kind, do=True, flags=dns.flags.CD)
        if len(response.answer) + len(response.authority) > MAX_RRSETS:
            raise Bogus(f"the answer to {shown(name)} {kind.name} has too many parts")
        return response

    async def _judge(self, response: dns.message.Message, asked: dns.name.Name, kind: RdataType, effort: Effort) -> Step:
        aliases: list[Alias] = []
        lifetimes: list[Lifetime] = []
        name = asked
        for _ in range(MAX_ALIASES + 1):
            records = find(response.answer, name, kind)
            alias = None if records is not None else await self._alias(response, name, effort)
            if alias is None:
                break
            name, verdict = alias
            aliases.append(Alias(target=name, security=verdict.security))
            lifetimes.append(verdict.lifetime)
        if records is not None:
            verdict = await self._records(response, records, effort)
        elif aliases:
            # What the answer says of the last name is left aside: that name is asked for itself, with the proof that belongs to it.
            lifetime = lifetimes[0].within(*lifetimes)
            return Step(aliases=tuple(aliases), name=name, security=Security.SECURE, ttl=lifetime.ttl, until=lifetime.until)
        else:
            verdict = await self._absence(response, name, kind, effort)
        absent: Absence = "NXDomain" if response.rcode() == dns.rcode.NXDOMAIN else "NoData"
        lifetime = verdict.lifetime.within(*lifetimes)
        return Step(
            aliases=tuple(aliases),
            name=name,
            records=records,
            absence="" if records is not None else absent,
            security=verdict.security,
            ttl=lifetime.ttl,
            until=lifetime.until,
        )

    async def _alias(self, response: dns.message.Message, name: dns.name.Name, effort: Effort) -> tuple[dns.name.Name, Verdict] | None:
        """Where an alias of `name` leads, and the verdict on it; None = there is none."""
        cname = find(response.answer, name, RdataType.CNAME)
        if cname is not None and signatures_of(response.answer, cname):
            return cast(Any, cname[0]).target, await self._records(response, cname, effort)
        dname = dname_above(response.answer, name)
        if dname is not None:
            # The CNAME is made of it by the server and is signed by nobody (RFC 6672 5.3.1).
            target = _substituted(name, dname)
            if cname is not None and cast(Any, cname[0]).target != target:
                raise Bogus(f"the alias {shown(name)} is not what {shown(dname.name)} DNAME says")
            return target, await self._records(response, dname, effort, exact=True)
        if cname is not None:
            return cast(Any, cname[0]).target, await self._records(response, cname, effort)
        return None

    async def _records(self, response: dns.message.Message, rrset: dns.rrset.RRset, effort: Effort, *, exact: bool = False) -> Verdict:
        """Records of an answer, with the proof that they need. Errors: Bogus, LookupFailed."""

        def judge(zone: Zone) -> Verdict:
            return judge_records(response, rrset, zone, self._clock.now(), effort, exact=exact)

        return await self._verdict(rrset.name, signatures_of(response.answer, rrset), rrset.ttl, judge)

    async def _absence(self, response: dns.message.Message, name: dns.name.Name, kind: RdataType, effort: Effort) -> Verdict:
        """No name or no type in an answer. Errors: Bogus, LookupFailed."""

        def judge(zone: Zone) -> Verdict:
            return judge_absence(response, name, kind, zone, self._clock.now(), effort)

        return await self._verdict(name, denial_signatures(response), 0, judge)

    async def _verdict(self, name: dns.name.Name, signatures: list[RRSIG], ttl: int, judge: Callable[[Zone], Verdict]) -> Verdict:
        """By the zone that claims to have signed. What it has not signed may still lie below an unsigned delegation."""
        signer = signer_of(signatures, name) or name
        zone, until = await self._zone(signer)
        if zone is not None:
            try:
                return judge(zone)
            except Bogus:
                unsigned_until = None if signer == name else await self._unsigned(name)
                if unsigned_until is None:
                    raise
                until = unsigned_until
        return Verdict(security=Security.INSECURE, lifetime=Lifetime(ttl=ttl, until=until))

    async def _unsigned(self, name: dns.name.Name) -> datetime | None:
        """Until when `name` is proven to lie below an unsigned delegation; None = it is not."""
        try:
            zone, until = await self._zone(name)
        except (Bogus, LookupFailed):
            return None
        return until if zone is None else None

    # -- the way down from the root -----------------------------------------------------------------------------------

    async def _zone(self, name: dns.name.Name) -> tuple[Zone | None, datetime]:
        """The signed zone to which `name` belongs, None where it is proven unsigned, and until when. Errors: Bogus, LookupFailed."""
        if len(name) > MAX_DEPTH:
            raise Bogus(f"{shown(name)} has too many labels")
        root = await self._links.get(dns.name.root, partial(self._keys, dns.name.root, self._anchors))
        assert root.zone is not None
        zone, until = root.zone, root.expires
        for depth in range(2, len(name) + 1):
            here = name.split(depth)[1]
            link = await self._links.get(here, partial(self._link, zone, here))
            until = min(until, link.expires)
            if link.zone is not None:
                zone = link.zone
            elif link.cut is Cut.UNSIGNED:
                return None, until
            elif link.cut is Cut.NOTHING:
                break
        return zone, until

    async def _link(self, above: Zone, name: dns.name.Name) -> Link:
        """Whether a zone begins at `name`, and with which keys. Errors: LookupFailed."""
        now, effort = self._clock.now(), Effort()
        try:
            response = await self._ask(name, RdataType.DS)
            delegation = find(response.answer, name, RdataType.DS)
            if delegation is not None:
                lifetime = judge_records(response, delegation, above, now, effort, exact=True).lifetime
                usable = usable_delegation(delegation)
                if not usable:
                    return self._known(Cut.UNSIGNED, lifetime)
                keys = await self._keys(name, usable)
                return evolve(keys, expires=min(keys.expires, lifetime.expires(now)))
            cname, dname = find(response.answer, name, RdataType.CNAME), dname_above(response.answer, name)
            if cname is not None and signatures_of(response.answer, cname):
                verdict = judge_records(response, cname, above, now, effort)
                return self._known(Cut.INSIDE if verdict.security is Security.SECURE else Cut.UNSIGNED, verdict.lifetime)
            if dname is not None:
                return self._known(Cut.NOTHING, judge_records(response, dname, above, now, effort, exact=True).lifetime)
            return self._known(*judge_cut(response, name, above, now, effort))
        except Bogus as reason:
            raise bogus(name, RdataType.DS, str(reason)) from None

    async def _keys(self, name: dns.name.Name, delegation: Sequence[Anchor]) -> Link:
        """The keys of a zone, which `delegation` must name. Errors: LookupFailed."""
        try:
            response = await self._ask(name, RdataType.DNSKEY)
            keys = find(response.answer, name, RdataType.DNSKEY)
            if keys is None:
                raise Bogus(f"{shown(name)} has no DNSKEY record")
            zone, lifetime = zone_of_keys(keys, signatures_of(response.answer, keys), delegation, self._clock.now(), Effort())
        except Bogus as reason:
            raise bogus(name, RdataType.DNSKEY, str(reason)) from None
        return self._known(zone, lifetime)

    def _known(self, found: Zone | Cut, lifetime: Lifetime) -> Link:
        now = self._clock.now()
        expires = min(lifetime.expires(now), now + LONGEST)
        return Link(zone=found, expires=expires) if isinstance(found, Zone) else Link(cut=found, expires=expires)


def _substituted(name: dns.name.Name, dname: dns.rrset.RRset) -> dns.name.Name:
    """RFC 6672 2.2. Errors: Bogus, when the name becomes too long."""
    prefix = name.relativize(dname.name)
    try:
        return prefix.concatenate(cast(Any, dname[0]).target)
    except dns.name.NameTooLong:
        raise Bogus(f"{shown(dname.name)} DNAME makes a name that is too long") from None
