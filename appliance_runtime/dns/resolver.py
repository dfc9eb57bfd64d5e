"""Resolver of the appliance: which server is asked, in which order, and what is remembered (routing.md 2).

A question goes to the server of the longest matching alternate domain, else to the servers by ascending priority number,
in random order among equals; 3 s and 2 tries each. An answer of any kind ends the search. Positive answers are kept for
the longer of their TTL and `min_ttl`, negative ones 60 s, failures not at all. Addresses of servers are logical.
"""

from __future__ import annotations

import asyncio
import ipaddress
import random
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, cast

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.reversename
import dns.rrset
from dns.rdatatype import RdataType

from appliance_runtime.addresses import AddressMap
from appliance_runtime.clock import Clock
from appliance_runtime.dns.answers import Absence, AddressAnswer, Answer, Failure, LookupFailed, MailExchanger, MxAnswer, Reverse
from appliance_runtime.dns.transport import PAYLOAD, exchange
from appliance_state.model.destinations import IpSortPref
from appliance_state.model.dns import Dns

LIMIT = 3.0
"""seconds of real time that a server gets for an answer"""
TRIES = 2
NEGATIVE_TTL = 60
MAX_ALIASES = 8
MAX_CACHED = 20_000

_FAMILIES = {
    IpSortPref.PREFER_V4: (RdataType.A, RdataType.AAAA),
    IpSortPref.PREFER_V6: (RdataType.AAAA, RdataType.A),
    IpSortPref.REQUIRE_V4: (RdataType.A,),
    IpSortPref.REQUIRE_V6: (RdataType.AAAA,),
}

Key = tuple[dns.name.Name, RdataType]


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
    ) -> None:
        """`source`: own address for questions, by the interface of the settings; None = left to the system."""
        self._settings = settings
        self._clock = clock
        self._address_map = address_map
        self._limit = LIMIT * net_timeout_scale
        self._source = source
        self._rng = rng or random.SystemRandom()
        self._cache: dict[Key, Answer] = {}
        self._asking: dict[Key, asyncio.Task[Answer]] = {}

    def reconfigure(self, settings: Dns) -> None:
        """Other servers from now on; what was remembered from the old ones is forgotten."""
        self._settings = settings
        self.flush()

    def flush(self) -> None:
        """Forget all answers (`dnsflush`); those under way reach only who waits for them."""
        self._cache = {}
        self._asking = {}

    # -- look-ups -----------------------------------------------------------------------------------------------------

    async def mx(self, name: str) -> MxAnswer:
        """Errors: LookupFailed."""
        answer = await self.lookup(name, RdataType.MX)
        records = sorted(answer.records, key=lambda record: cast(Any, record).preference)
        exchangers = tuple(
            MailExchanger(preference=record.preference, host=_text(record.exchange)) for record in cast("list[Any]", records)
        )
        return MxAnswer(exchangers=exchangers, absence=answer.absence, expires=answer.expires)

    async def addresses(self, name: str, preference: IpSortPref = IpSortPref.PREFER_V6) -> AddressAnswer:
        """A and AAAA of `name`. One family that answers is enough. Errors: LookupFailed."""
        kinds = _FAMILIES[preference]
        answers = await asyncio.gather(*(self.lookup(name, kind) for kind in kinds), return_exceptions=True)
        found: list[str] = []
        failed: LookupFailed | None = None
        absence: Absence = "NoData"
        for answer in answers:
            if isinstance(answer, LookupFailed):
                failed = answer
            elif isinstance(answer, BaseException):
                raise answer
            else:
                found += [cast(Any, record).address for record in answer.records]
                absence = answer.absence if answer.absence == "NXDomain" else absence
        if found:
            return AddressAnswer(addresses=tuple(found))
        if failed and absence != "NXDomain":
            raise failed
        return AddressAnswer(absence=absence)

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
        name = _text(cast(Any, answer.records[0]).target)
        try:
            async with asyncio.timeout(limit):
                kind = RdataType.AAAA if ":" in address else RdataType.A
                forward = await self.lookup(name, kind)
        except (LookupFailed, TimeoutError):
            return Reverse(name=name, failed=True)
        wanted = ipaddress.ip_address(address)
        verified = any(ipaddress.ip_address(cast(Any, record).address) == wanted for record in forward.records)
        return Reverse(name=name, verified=verified)

    async def lookup(self, name: str, kind: RdataType) -> Answer:
        """Records of one type, aliases followed. A name that is none has no records. Errors: LookupFailed."""
        try:
            key = (dns.name.from_text(name).canonicalize(), kind)
        except (dns.exception.DNSException, UnicodeError):
            return Answer(name=name, absence="NXDomain", expires=self._clock.now())
        known = self._cache.get(key)
        if known and known.expires > self._clock.now():
            return known
        asking = self._asking.get(key)
        if asking is None:
            asking = self._asking[key] = asyncio.get_running_loop().create_task(self._ask(key))
            asking.add_done_callback(lambda task: self._asked(key, task))
        # Who gives up waiting does not end the question of the others.
        return await asyncio.shield(asking)

    def _asked(self, key: Key, task: asyncio.Task[Answer]) -> None:
        if self._asking.get(key) is not task:
            task.cancelled() or task.exception()
            return
        del self._asking[key]
        if not task.cancelled() and task.exception() is None:
            self._cache.pop(key, None)
            self._cache[key] = task.result()
            while len(self._cache) > MAX_CACHED:
                del self._cache[next(iter(self._cache))]

    async def _ask(self, key: Key) -> Answer:
        """Follow aliases until the records, or their absence, are known."""
        name, kind = key
        ttls: list[int] = []
        for _ in range(MAX_ALIASES + 1):
            response = await self._question(name, kind)
            name, found, aliases = _chase(response, name, kind)
            ttls += aliases
            absence: Absence = ""
            if found is not None:
                ttls.append(found.ttl)
            elif response.rcode() == dns.rcode.NXDOMAIN:
                absence = "NXDomain"
            elif len(ttls) > MAX_ALIASES:
                break
            elif aliases:
                continue
            else:
                absence = "NoData"
            seconds = NEGATIVE_TTL if absence else max(min(ttls), self._settings.min_ttl)
            expires = self._clock.now() + timedelta(seconds=seconds)
            return Answer(name=_text(name), records=tuple(found or ()), absence=absence, expires=expires)
        raise LookupFailed(_text(key[0]), kind.name, "ServFail")

    async def _question(self, name: dns.name.Name, kind: RdataType) -> dns.message.Message:
        """The answer NOERROR or NXDOMAIN of the first server that answers."""
        failure: Failure = "Timeout"
        for address, port in self._servers(name):
            for _ in range(TRIES):
                question = dns.message.make_query(name, kind, use_edns=0, payload=PAYLOAD)
                try:
                    response = await exchange(
                        question,
                        self._address_map.connect(address, port),
                        limit=self._limit,
                        source=self._source(self._settings.interface),
                    )
                except (OSError, EOFError):
                    continue
                if response.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
                    return response
                failure = "Refused" if response.rcode() == dns.rcode.REFUSED else "ServFail"
                raise LookupFailed(_text(name), kind.name, failure)
        raise LookupFailed(_text(name), kind.name, failure)

    def _servers(self, name: dns.name.Name) -> list[tuple[str, int]]:
        """Servers for a name, in the order in which they are asked."""
        labels = _text(name).split(".")
        for start in range(len(labels)):
            domain = ".".join(labels[start:])
            if domain in self._settings.alternates:
                alternate = self._settings.alternates[domain]
                return [(alternate.address, alternate.port)]
        servers = list(self._settings.servers.entries())
        self._rng.shuffle(servers)
        return [(server.address, server.port) for server in sorted(servers, key=lambda server: server.priority)]


def _text(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower() if name != dns.name.root else ""


def _chase(response: dns.message.Message, name: dns.name.Name, kind: RdataType) -> tuple[dns.name.Name, dns.rrset.RRset | None, list[int]]:
    """Follow the aliases of one answer: the last name, its records, and the TTLs of the aliases."""
    ttls: list[int] = []
    for _ in range(MAX_ALIASES + 1):
        found = _records(response.answer, name, kind)
        if found is not None:
            return name, found, ttls
        alias = _records(response.answer, name, RdataType.CNAME)
        if alias is None:
            break
        ttls.append(alias.ttl)
        name = cast(Any, alias[0]).target
    return name, None, ttls


def _records(answer: Iterable[dns.rrset.RRset], name: dns.name.Name, kind: RdataType) -> dns.rrset.RRset | None:
    return next((rrset for rrset in answer if rrset.rdtype == kind and rrset.name == name), None)
