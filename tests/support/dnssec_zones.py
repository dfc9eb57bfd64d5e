"""Zones of the lab DNS with every way to be secure, insecure and bogus, and the verdict that each name must get."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen
from dns.rdatatype import RdataType

from appliance_runtime.dns.answers import LookupFailed, Security
from appliance_runtime.dns.resolver import Resolver
from asyncos_shell.lab.dns_server import LabDns
from asyncos_shell.lab.zone_signing import Nsec3, Signing

BODY = """\
@ MX 10 mx
@ A 127.0.10.1
mx A 127.0.10.11
_25._tcp.mx TLSA 3 1 1 91751cee0a1ab8414400238a761411daa29643ab4b8243e9a91649e25be53ada
alias CNAME mx
chain CNAME alias
far CNAME mx.second.test.
away CNAME mx.plain.test.
broken CNAME mx.wrong-ds.test.
nowhere CNAME no-such
*.wild A 127.0.10.12
exact.wild A 127.0.10.13
*.wildalias CNAME mx
deep.empty.mid A 127.0.10.14
old DNAME new
host.new A 127.0.10.15
moved DNAME plain.test.
bad A 127.0.10.16
late A 127.0.10.17
soon A 127.0.10.18
stranger A 127.0.10.19
stripped A 127.0.10.20
"""
FLAWS = {"bad": "bogus", "late": "expired", "soon": "future", "stranger": "wrong-key", "stripped": "unsigned"}

SIGNED: dict[str, Signing] = {
    "nsec.test": Signing(),
    "nsec3.test": Signing(nsec3=Nsec3()),
    "salted.test": Signing(nsec3=Nsec3(iterations=10, salt=b"\xaa\xbb")),
    "optout.test": Signing(nsec3=Nsec3(opt_out=True)),
    "rsa.test": Signing(algorithm=8),
    "rsasha1.test": Signing(algorithm=7, nsec3=Nsec3()),
    "p384.test": Signing(algorithm=14),
    "ed25519.test": Signing(algorithm=15),
    "ed448.test": Signing(algorithm=16),
}
"""zones in which all of `BODY` is found"""


def build(*, validating: bool = True, **settings: object) -> LabDns:
    """The name server with all zones, not started."""
    lab = LabDns("loose.example MX 10 mx.loose.example.", "mx.loose.example A 127.0.10.30", validating=validating, **settings)  # type: ignore[arg-type]
    for name, signing in SIGNED.items():
        lab.zone(name, BODY, signing)
        lab.zone(f"signed.{name}", "@ A 127.0.10.2\nwww A 127.0.10.3")
        lab.zone(f"unsigned.{name}", "@ A 127.0.10.4\nwww A 127.0.10.5", signed=False)
        for host, flaw in FLAWS.items():
            lab.fault(f"{host}.{name}", "A", flaw)  # type: ignore[arg-type]
        lab.fault(f"mx.{name}", "NSEC", "bogus")
    lab.zone("second.test", "mx A 127.0.10.21")
    lab.zone("plain.test", "@ MX 10 mx\nmx A 127.0.10.22\nback CNAME mx.nsec.test.", signed=False)
    lab.zone("island.test", "mx A 127.0.10.23", Signing(delegation="none"))
    lab.zone("wrong-ds.test", "mx A 127.0.10.24", Signing(delegation="wrong-key"))
    lab.zone("wrong-digest.test", "mx A 127.0.10.25", Signing(delegation="wrong-digest"))
    lab.zone("new-digest.test", "mx A 127.0.10.26", Signing(delegation="unknown-digest"))
    lab.zone("gost.test", "mx A 127.0.10.27", Signing(algorithm=12))
    lab.zone("private.test", "mx A 127.0.10.28", Signing(algorithm=253))
    lab.zone("limit.test", "mx A 127.0.10.29\n*.wild A 127.0.10.29", Signing(nsec3=Nsec3(iterations=150)))
    lab.zone("beyond.test", "mx A 127.0.10.29\n*.wild A 127.0.10.29", Signing(nsec3=Nsec3(iterations=151)))
    lab.zone("plain.beyond.test", "mx A 127.0.10.29", signed=False)
    lab.zone("good.beyond.test", "mx A 127.0.10.29")
    lab.zone("old-keys.test", "mx A 127.0.10.31")
    lab.fault("old-keys.test", "DNSKEY", "expired")
    lab.zone("bad-ds.test", "mx A 127.0.10.32")
    lab.fault("bad-ds.test", "DS", "bogus")
    lab.zone("bad-denial.test", "mx A 127.0.10.33", signed=False)
    lab.fault("bad-denial.test", "DS", "bogus")
    for kind, signing in (("NSEC", Signing()), ("NSEC3", Signing(nsec3=Nsec3()))):
        for flaw in ("bogus", "expired", "unsigned"):
            zone = f"{flaw}-{kind.lower()}.test"
            lab.zone(zone, "mx A 127.0.10.34\n*.wild A 127.0.10.35", signing)
            lab.zone(f"plain.{zone}", "mx A 127.0.10.36", signed=False)
            lab.fault(zone, kind, flaw)  # type: ignore[arg-type]
    return lab


SECURE, INSECURE, BOGUS = Security.SECURE, Security.INSECURE, Security.BOGUS


@frozen
class Verdict:
    """`absence`: empty where there are records; `canonical_name`: behind all aliases; both only where the answer is not bogus."""

    security: Security
    absence: str = ""
    canonical_name: str = ""


IN_BODY: dict[str, tuple[Security, str, str]] = {
    # name: of its A record; where an alias leads, "-" = another zone
    "": (SECURE, "", ""),
    "mx": (SECURE, "", ""),
    "_25._tcp.mx": (SECURE, "NoData", ""),
    "alias": (SECURE, "", "mx"),
    "chain": (SECURE, "", "mx"),
    "far": (SECURE, "", "mx.second.test"),
    "away": (INSECURE, "", "mx.plain.test"),
    "broken": (BOGUS, "", ""),
    "nowhere": (SECURE, "NXDomain", "no-such"),
    "x.wild": (SECURE, "", ""),
    "a.b.wild": (SECURE, "", ""),
    "exact.wild": (SECURE, "", ""),
    "x.wildalias": (SECURE, "", "mx"),
    "mid": (SECURE, "NoData", ""),
    "empty.mid": (SECURE, "NoData", ""),
    "deep.empty.mid": (SECURE, "", ""),
    "no.empty.mid": (SECURE, "NXDomain", ""),
    "host.old": (SECURE, "", "host.new"),
    "no.old": (SECURE, "NXDomain", "no.new"),
    "mx.moved": (INSECURE, "", "mx.plain.test"),
    "no-such": (SECURE, "NXDomain", ""),
    "a.b.no-such": (SECURE, "NXDomain", ""),
    "bad": (BOGUS, "", ""),
    "late": (BOGUS, "", ""),
    "soon": (BOGUS, "", ""),
    "stranger": (BOGUS, "", ""),
    "stripped": (BOGUS, "", ""),
    "signed": (SECURE, "", ""),
    "www.signed": (SECURE, "", ""),
    "no.signed": (SECURE, "NXDomain", ""),
    "unsigned": (INSECURE, "", ""),
    "www.unsigned": (INSECURE, "", ""),
    "no.unsigned": (INSECURE, "NXDomain", ""),
}
IN_GAPS = {"x.wild", "a.b.wild", "x.wildalias", "nowhere", "no.empty.mid", "no.old", "no-such", "a.b.no-such"}
"""names whose proof rests on a gap: with opt-out an unsigned delegation may lie in it"""

ALONE: dict[tuple[str, str], Verdict] = {
    ("mx.second.test", "A"): Verdict(SECURE),
    ("plain.test", "MX"): Verdict(INSECURE),
    ("no.plain.test", "A"): Verdict(INSECURE, "NXDomain"),
    ("back.plain.test", "A"): Verdict(INSECURE, "", "mx.nsec.test"),
    ("mx.island.test", "A"): Verdict(INSECURE),
    ("no.island.test", "A"): Verdict(INSECURE, "NXDomain"),
    ("mx.wrong-ds.test", "A"): Verdict(BOGUS),
    ("no.wrong-ds.test", "A"): Verdict(BOGUS),
    ("mx.wrong-digest.test", "A"): Verdict(BOGUS),
    ("mx.new-digest.test", "A"): Verdict(INSECURE),
    ("mx.gost.test", "A"): Verdict(INSECURE),
    ("no.gost.test", "A"): Verdict(INSECURE, "NXDomain"),
    ("mx.private.test", "A"): Verdict(INSECURE),
    ("no.limit.test", "A"): Verdict(SECURE, "NXDomain"),
    ("x.wild.limit.test", "A"): Verdict(SECURE),
    ("mx.beyond.test", "A"): Verdict(SECURE),
    ("mx.beyond.test", "MX"): Verdict(INSECURE, "NoData"),
    ("no.beyond.test", "A"): Verdict(INSECURE, "NXDomain"),
    ("x.wild.beyond.test", "A"): Verdict(INSECURE),
    ("mx.plain.beyond.test", "A"): Verdict(INSECURE),
    ("mx.good.beyond.test", "A"): Verdict(SECURE),
    ("no.good.beyond.test", "A"): Verdict(SECURE, "NXDomain"),
    ("mx.old-keys.test", "A"): Verdict(BOGUS),
    ("mx.bad-ds.test", "A"): Verdict(BOGUS),
    ("mx.bad-denial.test", "A"): Verdict(BOGUS),
    ("loose.example", "MX"): Verdict(INSECURE),
    ("mx.loose.example", "A"): Verdict(INSECURE),
    ("no.loose.example", "A"): Verdict(INSECURE, "NXDomain"),
    ("no-tld", "A"): Verdict(SECURE, "NXDomain"),
    ("test", "A"): Verdict(SECURE, "NoData"),
}


def expected() -> Iterator[tuple[str, RdataType, Verdict]]:
    """Every question with the verdict that it must get."""
    for zone in SIGNED:
        for host, (security, absence, canonical) in IN_BODY.items():
            name = f"{host}.{zone}".lstrip(".")
            opt_out = zone == "optout.test"
            behind = canonical if "." in canonical and canonical.endswith(".test") else f"{canonical}.{zone}" if canonical else name
            weakened = INSECURE if opt_out and host in IN_GAPS and security is SECURE else security
            yield name, RdataType.A, Verdict(BOGUS) if weakened is BOGUS else Verdict(weakened, absence, behind)
        yield f"mx.{zone}", RdataType.MX, Verdict(BOGUS) if not SIGNED[zone].nsec3 else Verdict(SECURE, "NoData", f"mx.{zone}")
        yield f"x.wild.{zone}", RdataType.MX, Verdict(INSECURE if opt_out else SECURE, "NoData", f"x.wild.{zone}")
        yield f"_25._tcp.mx.{zone}", RdataType.TLSA, Verdict(SECURE, "", f"_25._tcp.mx.{zone}")
        yield f"_25._tcp.late.{zone}", RdataType.TLSA, Verdict(INSECURE if opt_out else SECURE, "NXDomain", f"_25._tcp.late.{zone}")
        yield zone, RdataType.MX, Verdict(SECURE, "", zone)
        yield zone, RdataType.TLSA, Verdict(SECURE, "NoData", zone)
    for flaw in ("bogus", "expired", "unsigned"):
        for kind in ("nsec", "nsec3"):
            for host in ("no", "x.wild", "mx.plain"):
                yield f"{host}.{flaw}-{kind}.test", RdataType.A, Verdict(BOGUS)
            yield f"mx.{flaw}-{kind}.test", RdataType.A, Verdict(SECURE, "", f"mx.{flaw}-{kind}.test")
            yield f"mx.{flaw}-{kind}.test", RdataType.MX, Verdict(BOGUS)
    for (name, kind), verdict in ALONE.items():
        behind = "" if verdict.security is BOGUS else verdict.canonical_name or name
        yield name, RdataType[kind], Verdict(verdict.security, verdict.absence, behind)


async def verdict_of(resolver: Resolver, name: str, kind: RdataType) -> Verdict:
    """What a resolver thinks."""
    try:
        answer = await resolver.lookup(name, kind, dnssec=True)
    except LookupFailed as failed:
        assert failed.failure == "ServFail", failed
        return Verdict(failed.security)
    return Verdict(answer.security, answer.absence, answer.canonical_name)
