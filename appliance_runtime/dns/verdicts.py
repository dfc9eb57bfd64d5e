"""Verdict on one answer, given the zone that must have signed it: secure, insecure, or Bogus raised (RFC 4035 5). No sockets, no clock."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import Enum, auto
from typing import cast

import dns.message
import dns.name
import dns.rcode
import dns.rrset
from attrs import frozen
from dns.rdatatype import RdataType
from dns.rdtypes.ANY.NSEC import NSEC
from dns.rdtypes.ANY.NSEC3 import NSEC3
from dns.rdtypes.ANY.RRSIG import RRSIG

from appliance_runtime.dns.answers import Security
from appliance_runtime.dns.nsec import NsecDenial
from appliance_runtime.dns.nsec3 import Nsec3Denial
from appliance_runtime.dns.signatures import Bogus, Effort, Lifetime, Zone, label, signatures_of, verify

Denial = NsecDenial | Nsec3Denial


@frozen(kw_only=True)
class Verdict:
    """Never bogus, which is raised."""

    security: Security
    lifetime: Lifetime


class Cut(Enum):
    """What the absence of DS records at a name proves. INSIDE: no delegation; NOTHING: no name, and none below."""

    UNSIGNED = auto()
    INSIDE = auto()
    NOTHING = auto()


def signer_of(signatures: Iterable[RRSIG], name: dns.name.Name) -> dns.name.Name | None:
    """The innermost zone around `name` that claims to have signed; None = none does."""
    return max((one.signer for one in signatures if name.is_subdomain(one.signer)), key=len, default=None)


def denial_signatures(response: dns.message.Message) -> list[RRSIG]:
    """Signatures of what speaks of absence."""
    kinds = (RdataType.NSEC, RdataType.NSEC3, RdataType.SOA)
    return [signature for rrset in response.authority if rrset.rdtype in kinds for signature in signatures_of(response.authority, rrset)]


def judge_records(
    response: dns.message.Message, rrset: dns.rrset.RRset, zone: Zone, now: datetime, effort: Effort, *, exact: bool = False
) -> Verdict:
    """Records of the answer section. `exact`: none that stand for a wildcard, as of a DNAME. Errors: Bogus."""
    verified = verify(rrset, signatures_of(response.answer, rrset), zone, now, effort)
    if verified.wildcard is None:
        return Verdict(security=Security.SECURE, lifetime=verified.lifetime)
    if exact:
        raise Bogus(f"{label(rrset)} comes from a wildcard")
    denial, lifetime = _denial(response, zone, now, effort)
    return Verdict(security=denial.expansion(rrset.name, verified.wildcard), lifetime=verified.lifetime.within(lifetime))


def judge_absence(
    response: dns.message.Message, name: dns.name.Name, kind: RdataType, zone: Zone, now: datetime, effort: Effort
) -> Verdict:
    """NXDOMAIN or NODATA for the name and type that were asked for. Errors: Bogus."""
    denial, lifetime = _denial(response, zone, now, effort)
    security = denial.nxdomain(name) if response.rcode() == dns.rcode.NXDOMAIN else denial.nodata(name, kind)
    return Verdict(security=security, lifetime=lifetime)


def judge_cut(response: dns.message.Message, name: dns.name.Name, zone: Zone, now: datetime, effort: Effort) -> tuple[Cut, Lifetime]:
    """An answer without DS records from the zone above, and how long it holds. Errors: Bogus."""
    denial, lifetime = _denial(response, zone, now, effort)
    if response.rcode() == dns.rcode.NXDOMAIN:
        secure = denial.nxdomain(name) is Security.SECURE
        return (Cut.NOTHING if secure else Cut.UNSIGNED), lifetime
    if denial.nodata(name, RdataType.DS) is Security.INSECURE or denial.is_cut(name):
        return Cut.UNSIGNED, lifetime
    return Cut.INSIDE, lifetime


def _denial(response: dns.message.Message, zone: Zone, now: datetime, effort: Effort) -> tuple[Denial, Lifetime]:
    """The records of absence that `zone` vouches for. Errors: Bogus, when there is none."""
    nsec: list[tuple[dns.name.Name, NSEC]] = []
    nsec3: list[tuple[dns.name.Name, NSEC3]] = []
    lifetimes: list[Lifetime] = []
    problem = Bogus("no signed proof of absence")
    for rrset in response.authority:
        if rrset.rdtype not in (RdataType.NSEC, RdataType.NSEC3):
            continue
        try:
            verified = verify(rrset, signatures_of(response.authority, rrset), zone, now, effort)
        except Bogus as failed:
            problem = failed
            continue
        if verified.wildcard is not None:
            continue
        lifetimes.append(verified.lifetime)
        if rrset.rdtype == RdataType.NSEC:
            nsec += [(rrset.name, cast(NSEC, record)) for record in rrset]
        else:
            nsec3 += [(rrset.name, cast(NSEC3, record)) for record in rrset]
    if nsec:
        return NsecDenial(zone.name, tuple(nsec)), lifetimes[0].within(*lifetimes)
    if nsec3:
        return Nsec3Denial.of(zone.name, nsec3, effort), lifetimes[0].within(*lifetimes)
    raise problem
