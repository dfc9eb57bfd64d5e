"""One answer of a name server, read: the aliases in it, then records, absence, or the name to be asked for next.

How much of it can be trusted is decided by the mode of dnsconfig: `unchecked` here (nobody asked, or DNSSEC is off),
`trust_ad` here (the servers validate), or the appliance's own validation.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, cast

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rrset
from attrs import evolve, frozen
from dns.rdatatype import RdataType

from appliance_runtime.dns.answers import Absence, LookupFailed, Security
from appliance_runtime.dns.names import text_of
from appliance_runtime.dns.upstream import Upstream

MAX_ALIASES = 8


@frozen(kw_only=True)
class Alias:
    """A link of a chain of aliases: `target` is where it leads."""

    target: dns.name.Name
    security: Security


@frozen(kw_only=True)
class Step:
    """What one answer says. `name`: behind its aliases; neither records nor absence = to be asked for next.

    `security`: of records or absence. `ttl`: of records and aliases. `until`: when the first signature in it ends; None = it has none.
    """

    aliases: tuple[Alias, ...] = ()
    name: dns.name.Name
    records: dns.rrset.RRset | None = None
    absence: Absence = ""
    security: Security
    ttl: int = 0
    until: datetime | None = None

    @property
    def final(self) -> bool:
        return self.records is not None or self.absence != ""


def find(section: Iterable[dns.rrset.RRset], name: dns.name.Name, kind: RdataType) -> dns.rrset.RRset | None:
    """The records of a name and type; never its signatures."""
    return next((rrset for rrset in section if rrset.rdtype == kind and rrset.name == name), None)


def dname_above(section: Iterable[dns.rrset.RRset], name: dns.name.Name) -> dns.rrset.RRset | None:
    """The DNAME above `name`, the innermost one."""
    above = [rrset for rrset in section if rrset.rdtype == RdataType.DNAME and name != rrset.name and name.is_subdomain(rrset.name)]
    return max(above, key=lambda rrset: len(rrset.name), default=None)


def read(response: dns.message.Message, name: dns.name.Name, kind: RdataType, security: Security) -> Step:
    """Take an answer as it is; all of it is worth `security`."""
    aliases: list[Alias] = []
    ttls: list[int] = []
    for _ in range(MAX_ALIASES + 1):
        records = find(response.answer, name, kind)
        alias = None if records is not None else find(response.answer, name, RdataType.CNAME)
        if alias is None:
            break
        name = cast(Any, alias[0]).target
        aliases.append(Alias(target=name, security=security))
        ttls.append(alias.ttl)
    absence: Absence = ""
    if records is not None:
        ttls.append(records.ttl)
    elif response.rcode() == dns.rcode.NXDOMAIN:
        absence = "NXDomain"
    elif not aliases:
        absence = "NoData"
    return Step(aliases=tuple(aliases), name=name, records=records, absence=absence, security=security, ttl=min(ttls, default=0))


async def unchecked(upstream: Upstream, name: dns.name.Name, kind: RdataType, *, security: Security) -> Step:
    """An answer whose status nobody asks for. `security` INSECURE: DNSSEC is off, and DANE is asked for. Errors: LookupFailed."""
    response = await upstream.ask(name, kind, do=security is not Security.INDETERMINATE)
    return read(response, name, kind, security)


async def trust_ad(upstream: Upstream, name: dns.name.Name, kind: RdataType) -> Step:
    """An answer as the servers have validated it. Errors: LookupFailed."""
    try:
        response = await upstream.ask(name, kind, do=True, flags=dns.flags.AD)
    except LookupFailed as failed:
        if failed.failure != "ServFail":
            raise
        # A validating server answers so for bogus data too; without its checks the data come out.
        await upstream.ask(name, kind, do=True, flags=dns.flags.AD | dns.flags.CD)
        raise bogus(name, kind, "the DNS server refuses to vouch for the answer") from None
    secure = bool(response.flags & dns.flags.AD)
    step = read(response, name, kind, Security.SECURE if secure else Security.INSECURE)
    if secure or not step.aliases or kind in (RdataType.CNAME, RdataType.DNAME):
        return step
    # The flag speaks of all of the answer; the record of the alias itself may still be secure (RFC 7672 2.1.1).
    alias = dname_above(response.answer, name) or find(response.answer, name, RdataType.CNAME)
    assert alias is not None
    own = await trust_ad(upstream, alias.name, alias.rdtype)
    if own.records is None or own.records != alias:
        return step
    return evolve(step, aliases=(evolve(step.aliases[0], security=own.security), *step.aliases[1:]))


def bogus(name: dns.name.Name, kind: RdataType, reason: str) -> LookupFailed:
    """In the log a bogus answer is one that a validating server would not have given."""
    return LookupFailed(text_of(name), kind.name, "ServFail", security=Security.BOGUS, reason=reason)
