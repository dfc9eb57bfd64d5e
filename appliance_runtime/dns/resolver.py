"""Resolver of the appliance: names, addresses and TLSA records, with what is remembered of them (routing.md 2).

Positive answers are kept for the longer of their TTL and `min_ttl`, TLSA records and what rests on signatures never longer
than these allow; negative answers 60 s; failures and bogus answers not at all. The security of an answer is found out only
where a look-up asks for it (`dnssec`); else it is INDETERMINATE, and the servers are asked as by anybody.
"""

from __future__ import annotations

import asyncio
import ipaddress
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any, cast

import dns.exception
import dns.name
import dns.reversename
from dns.rdatatype import RdataType

from appliance_runtime.addresses import AddressMap
from appliance_runtime.clock import Clock
from appliance_runtime.dns.answers import (
    Absence,
    AddressAnswer,
    Answer,
    LookupFailed,
    MailExchanger,
    MxAnswer,
    Reverse,
    Security,
    Tlsa,
    TlsaAnswer,
    TlsaStatus,
    weakest,
)
from appliance_runtime.dns.cache import Cache
from appliance_runtime.dns.names import text_of
from appliance_runtime.dns.steps import MAX_ALIASES, Step, trust_ad, unchecked
from appliance_runtime.dns.trust_anchors import ROOT_KEYS, Anchor, parse_anchors
from appliance_runtime.dns.upstream import Upstream
from appliance_runtime.dns.validation import Validator
from appliance_state.model.destinations import IpSortPref
from appliance_state.model.dns import Dns, DnssecMode, DnsServer

NEGATIVE_TTL = 60

_FAMILIES = {
    IpSortPref.PREFER_V4: (RdataType.A, RdataType.AAAA),
    IpSortPref.PREFER_V6: (RdataType.AAAA, RdataType.A),
    IpSortPref.REQUIRE_V4: (RdataType.A,),
    IpSortPref.REQUIRE_V6: (RdataType.AAAA,),
}
_TLSA_FAILURES: dict[str, TlsaStatus] = {"ServFail": "servfail", "Refused": "refused", "Timeout": "timeout"}

Key = tuple[dns.name.Name, RdataType, bool]
"""name, type, whether the security is asked for"""


class Resolver:
    """Look-ups with a cache. Names may be given with or without a trailing dot; those in answers have none."""

    def __init__(
        self,
        settings: Dns,
        clock: Clock,
        address_map: AddressMap,
        *,
        net_timeout_scale: float = 1.0,
        source: Callable[[str], str | None] = lambda interface: None,
        rng: random.Random | None = None,
        anchors: tuple[Anchor, ...] | None = None,
    ) -> None:
        """`source`: own address for questions, by the interface of the settings; None = left to the system.
        `anchors`: keys of the root in place of the built-in ones."""
        self._settings = settings
        self._clock = clock
        self._upstream = Upstream(settings, address_map, net_timeout_scale=net_timeout_scale, source=source, rng=rng)
        self._anchors = anchors or parse_anchors(ROOT_KEYS)
        self._validator = Validator(self._upstream, clock, self._anchors)
        self._answers: Cache[Key, Answer] = Cache(clock)

    def reconfigure(self, settings: Dns) -> None:
        """Other servers from now on; what was remembered from the old ones is forgotten."""
        self._settings = self._upstream.settings = settings
        self.flush()

    def flush(self) -> None:
        """Forget all answers (`dnsflush`); those under way reach only who waits for them."""
        self._answers.flush()
        self._validator.flush()

    async def dnssec_problems(self) -> list[str]:
        """Why DNSSEC is not to be had, one text for each server that does not support it; none = DANE can be used.

        Asks each server one question about the root, all at once."""
        if self._settings.dnssec_mode is DnssecMode.OFF:
            return ["DNSSEC is switched off"]
        found = await asyncio.gather(*(self._dnssec_problem(server) for server in self._settings.servers.entries()))
        return [problem for problem in found if problem]

    async def _dnssec_problem(self, server: DnsServer) -> str:
        upstream = self._upstream.only(server)
        problem = ""
        try:
            if self._settings.dnssec_mode is DnssecMode.VALIDATE:
                await Validator(upstream, self._clock, self._anchors).reach_root()
            elif (await trust_ad(upstream, dns.name.root, RdataType.SOA)).security is not Security.SECURE:
                problem = "no AD flag"
        except LookupFailed as failed:
            problem = failed.reason or failed.failure
        return problem and f"the DNS server {server.address} does not support DNSSEC: {problem}"

    # -- look-ups -----------------------------------------------------------------------------------------------------

    async def mx(self, name: str, *, dnssec: bool = False) -> MxAnswer:
        """Errors: LookupFailed."""
        answer = await self.lookup(name, RdataType.MX, dnssec=dnssec)
        records = sorted(answer.records, key=lambda record: cast(Any, record).preference)
        exchangers = tuple(
            MailExchanger(preference=record.preference, host=text_of(record.exchange)) for record in cast("list[Any]", records)
        )
        return MxAnswer(
            exchangers=exchangers,
            absence=answer.absence,
            expires=answer.expires,
            security=answer.security,
            canonical_name=answer.canonical_name,
        )

    async def addresses(self, name: str, preference: IpSortPref = IpSortPref.PREFER_V6, *, dnssec: bool = False) -> AddressAnswer:
        """A and AAAA of `name`. One family that answers is enough. Errors: LookupFailed."""
        kinds = _FAMILIES[preference]
        answers = await asyncio.gather(*(self.lookup(name, kind, dnssec=dnssec) for kind in kinds), return_exceptions=True)
        known: list[Answer] = []
        failed: LookupFailed | None = None
        for answer in answers:
            if isinstance(answer, LookupFailed):
                failed = answer if failed is None or answer.bogus else failed
            elif isinstance(answer, BaseException):
                raise answer
            else:
                known.append(answer)
        found = [answer for answer in known if answer.records]
        secure = [answer for answer in found if answer.security is Security.SECURE]
        absence: Absence = "NXDomain" if any(answer.absence == "NXDomain" for answer in known) else "NoData"
        if failed and not found and absence != "NXDomain":
            raise failed
        best = (secure or found or known)[0]
        return AddressAnswer(
            addresses=_addresses(found),
            absence="" if found else absence,
            security=best.security,
            secure_addresses=_addresses(secure),
            canonical_name=best.canonical_name,
            alias=best.alias,
        )

    async def tlsa(self, name: str) -> TlsaAnswer:
        """TLSA records of an owner such as `_25._tcp.mx1.d.test`. A failure is an answer too."""
        try:
            answer = await self.lookup(name, RdataType.TLSA, dnssec=True)
        except LookupFailed as failed:
            status: TlsaStatus = "bogus" if failed.bogus else _TLSA_FAILURES[failed.failure]
            return TlsaAnswer(status=status, security=failed.security, canonical_name=failed.name, reason=failed.reason or failed.failure)
        records = tuple(
            Tlsa(usage=record.usage, selector=record.selector, matching_type=record.mtype, data=record.cert)
            for record in cast("tuple[Any, ...]", answer.records)
        )
        absent: TlsaStatus = "nxdomain" if answer.absence == "NXDomain" else "nodata"
        return TlsaAnswer(
            status="found" if records else absent,
            records=records,
            security=answer.security,
            canonical_name=answer.canonical_name,
        )

    async def ptr(self, address: str, limit: float) -> Reverse:
        """Reverse name of an address, looked up again forwards. `limit`: seconds of real time; 0 = no look-up."""
        if limit <= 0:
            return Reverse()
        try:
            async with asyncio.timeout(limit):
                answer = await self.lookup(dns.reversename.from_address(address).to_text(), RdataType.PTR)
        except (LookupFailed, TimeoutError):
            return Reverse(failed=True)
        if not answer.records:
            return Reverse()
        name = text_of(cast(Any, answer.records[0]).target)
        try:
            async with asyncio.timeout(limit):
                kind = RdataType.AAAA if ":" in address else RdataType.A
                forward = await self.lookup(name, kind)
        except (LookupFailed, TimeoutError):
            return Reverse(name=name, failed=True)
        wanted = ipaddress.ip_address(address)
        verified = any(ipaddress.ip_address(cast(Any, record).address) == wanted for record in forward.records)
        return Reverse(name=name, verified=verified)

    async def lookup(self, name: str, kind: RdataType, *, dnssec: bool = False) -> Answer:
        """Records of one type, aliases followed. A name that is none has no records. Errors: LookupFailed."""
        try:
            key = (dns.name.from_text(name).canonicalize(), kind, dnssec)
        except (dns.exception.DNSException, UnicodeError):
            # What cannot be a name exists in no zone, signed or not.
            security = Security.INSECURE if dnssec else Security.INDETERMINATE
            return Answer(canonical_name=name, absence="NXDomain", expires=self._clock.now(), security=security)
        return await self._answers.get(key, partial(self._ask, key))

    async def _ask(self, key: Key) -> Answer:
        """Follow aliases until the records, or their absence, are known."""
        name, kind, dnssec = key
        steps = [await self._step(name, kind, dnssec)]
        aliases = list(steps[0].aliases)
        while not steps[-1].final:
            if len(aliases) > MAX_ALIASES:
                raise LookupFailed(text_of(name), kind.name, "ServFail")
            steps.append(await self._step(steps[-1].name, kind, dnssec))
            aliases += steps[-1].aliases
        last = steps[-1]
        return Answer(
            canonical_name=text_of(last.name),
            records=tuple(last.records or ()),
            absence=last.absence,
            expires=self._expires(kind, steps),
            security=weakest(last.security, *(alias.security for alias in aliases)),
            alias=aliases[0].security if aliases else None,
        )

    async def _step(self, name: dns.name.Name, kind: RdataType, dnssec: bool) -> Step:
        """One answer, read in the way of the mode. Errors: LookupFailed."""
        if not dnssec:
            return await unchecked(self._upstream, name, kind, security=Security.INDETERMINATE)
        match self._settings.dnssec_mode:
            case DnssecMode.VALIDATE:
                return await self._validator.step(name, kind)
            case DnssecMode.TRUST_AD:
                return await trust_ad(self._upstream, name, kind)
            case DnssecMode.OFF:
                return await unchecked(self._upstream, name, kind, security=Security.INSECURE)

    def _expires(self, kind: RdataType, steps: list[Step]) -> datetime:
        """Until when an answer is remembered."""
        seconds = NEGATIVE_TTL
        if steps[-1].records is not None:
            seconds = min(step.ttl for step in steps)
            # A TLSA record that outlives its time would break the change of a key (RFC 7671 8.1).
            if kind != RdataType.TLSA:
                seconds = max(seconds, self._settings.min_ttl)
        return min([self._clock.now() + timedelta(seconds=seconds), *(step.until for step in steps if step.until is not None)])


def _addresses(answers: list[Answer]) -> tuple[str, ...]:
    return tuple(cast(Any, record).address for answer in answers for record in answer.records)
