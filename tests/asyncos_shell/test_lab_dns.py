"""The lab DNS as a tool: master-file text, what it shows to whom, faults and their end (labs-and-ci.md 8)."""

from __future__ import annotations

from datetime import UTC, datetime

import dns.flags
import dns.message
import dns.rcode
import pytest
from dns.rdatatype import RdataType

from asyncos_shell.lab.dns_server import LabDns
from asyncos_shell.lab.zone_signing import Nsec3, Signing

NOW = datetime(2026, 3, 6, 9, 0, tzinfo=UTC)
ZONE = """\
$TTL 300
@ MX 10 mx
mx A 127.0.10.11
*.any A 127.0.10.12
alias CNAME mx
"""
SAMPLE = """\
_443._tcp.www.example.com. IN TLSA (0 0 1 91751cee0a1ab8414400238a761411da
                                    a29643ab4b8243e9a91649e25be53ada)
"""


@pytest.fixture
def lab() -> LabDns:
    server = LabDns("loose.test A 127.0.0.9", now=lambda: NOW)
    server.zone("d.test", ZONE)
    server.zone("plain.test", ZONE, signed=False)
    return server


def ask(lab: LabDns, name: str, kind: str = "A", *, do: bool = True, flags: int = 0, transport: str = "tcp") -> dns.message.Message:
    question = dns.message.make_query(name, kind, use_edns=0, want_dnssec=do, flags=dns.flags.RD | flags)
    octets = lab.answer(question.to_wire(), transport)
    assert octets is not None
    return dns.message.from_wire(octets)


def types(section: list[object]) -> list[str]:
    return [rrset.rdtype.name for rrset in section]  # type: ignore[attr-defined]


def secure(message: dns.message.Message) -> bool:
    return bool(message.flags & dns.flags.AD)


def test_the_sample_record_of_the_manual_loads() -> None:
    server = LabDns(now=lambda: NOW)
    server.zone("example.com", SAMPLE)
    (rrset,) = ask(server, "_443._tcp.www.example.com", "TLSA", do=False).answer
    assert rrset[0].to_text() == "0 0 1 91751cee0a1ab8414400238a761411daa29643ab4b8243e9a91649e25be53ada"


def test_signatures_and_proofs_only_for_those_who_ask(lab: LabDns) -> None:
    answer = ask(lab, "mx.d.test")
    assert (types(answer.answer), answer.answer[0].ttl, secure(answer)) == (["A", "RRSIG"], 300, True)
    answer = ask(lab, "mx.d.test", do=False)
    assert (types(answer.answer), secure(answer)) == (["A"], False)
    assert secure(ask(lab, "mx.d.test", do=False, flags=dns.flags.AD))
    answer = ask(lab, "no.d.test")
    assert (answer.rcode(), secure(answer)) == (dns.rcode.NXDOMAIN, True)
    assert types(answer.authority) == ["SOA", "RRSIG", "NSEC", "RRSIG", "NSEC", "RRSIG"]
    assert types(ask(lab, "no.d.test", do=False).authority) == ["SOA"]


def test_keys_and_delegations(lab: LabDns) -> None:
    assert types(ask(lab, "d.test", "DNSKEY").answer) == ["DNSKEY", "RRSIG"]
    (ds, signature) = ask(lab, "d.test", "DS").answer
    assert (ds.rdtype.name, signature[0].signer.to_text()) == ("DS", ".")
    assert types(ask(lab, "plain.test", "DS").answer) == []
    assert types(ask(lab, "plain.test", "DNSKEY").answer) == []
    assert LabDns(now=lambda: NOW).trust_anchor.startswith(". 3600 IN DS ")


def test_what_is_not_signed_has_no_ad(lab: LabDns) -> None:
    for name in ("mx.plain.test", "loose.test", "no.plain.test", "no.loose.test"):
        assert not secure(ask(lab, name))
    assert secure(ask(lab, "no.example"))


@pytest.mark.parametrize("flaw", ["bogus", "expired", "future", "wrong-key", "unsigned"])
def test_bogus_data_come_out_only_with_cd(lab: LabDns, flaw: str) -> None:
    lab.fault("mx.d.test", "A", flaw)  # type: ignore[arg-type]
    assert ask(lab, "mx.d.test").rcode() == dns.rcode.SERVFAIL
    answer = ask(lab, "mx.d.test", flags=dns.flags.CD)
    assert (types(answer.answer)[0], secure(answer)) == ("A", False)
    assert ask(lab, "alias.d.test").rcode() == dns.rcode.SERVFAIL
    lab.fault("mx.d.test", "A", "secure")
    assert secure(ask(lab, "mx.d.test"))


@pytest.mark.parametrize(("fault", "rcode"), [("servfail", dns.rcode.SERVFAIL), ("refused", dns.rcode.REFUSED)])
def test_faults_of_servers_do_not_heed_cd(lab: LabDns, fault: str, rcode: dns.rcode.Rcode) -> None:
    lab.fault("mx.d.test", "A", fault)  # type: ignore[arg-type]
    assert ask(lab, "mx.d.test", flags=dns.flags.CD).rcode() == rcode


def test_absence_that_is_made_is_proven_like_any_other(lab: LabDns) -> None:
    lab.fault("d.test", "MX", "nodata")
    answer = ask(lab, "d.test", "MX")
    assert (answer.rcode(), types(answer.answer), secure(answer)) == (dns.rcode.NOERROR, [], True)
    assert not any("MX" in rrset[0].to_text() for rrset in answer.authority if rrset.rdtype == RdataType.NSEC)
    lab.fault("d.test", "MX", None)
    assert types(ask(lab, "d.test", "MX").answer) == ["MX", "RRSIG"]
    for name in ("mx.d.test", "d.test", "x.plain.test"):
        lab.fault(name, "A", "nxdomain")
        assert ask(lab, name).rcode() == dns.rcode.NXDOMAIN
        lab.fault(name, "A", None)
    assert secure(ask(lab, "mx.d.test"))


@pytest.mark.parametrize("name", ["d.test", "mx.d.test"])
def test_a_name_is_served_from_an_unsigned_cut_and_back(lab: LabDns, name: str) -> None:
    lab.fault(name, "A", "insecure")
    answer = ask(lab, "mx.d.test")
    assert (types(answer.answer)[0], secure(answer)) == ("A", False)
    assert types(ask(lab, name, "DS").answer) == []
    assert secure(ask(lab, name, "DS"))
    assert secure(ask(lab, "d.test", "MX")) == (name == "mx.d.test")
    lab.fault(name, "A", None)
    assert secure(ask(lab, "mx.d.test"))


def test_a_forged_answer(lab: LabDns) -> None:
    for domain, rcode in (("d.test", dns.rcode.SERVFAIL), ("plain.test", dns.rcode.NOERROR), ("loose.test", dns.rcode.NOERROR)):
        lab.fault(domain, "MX", "forged-mx", "evil.test")
        assert ask(lab, domain, "MX").rcode() == rcode
        assert ask(lab, domain, "MX", flags=dns.flags.CD).answer[0][0].to_text() == "0 evil.test."
        assert not secure(ask(lab, domain, "MX", flags=dns.flags.CD))


def test_truncation_and_silence(lab: LabDns) -> None:
    lab.fault("mx.d.test", "A", "truncated")
    assert ask(lab, "mx.d.test", transport="udp").flags & dns.flags.TC
    assert types(ask(lab, "mx.d.test").answer) == ["A", "RRSIG"]
    lab.fault("mx.d.test", "A", "timeout")
    assert lab.answer(dns.message.make_query("mx.d.test", "A").to_wire(), "udp") is None


def test_a_record_that_is_added_later_is_signed_too(lab: LabDns) -> None:
    lab.set("new.d.test 60 A 127.0.0.1")
    assert secure(ask(lab, "new.d.test"))
    lab.remove("new.d.test", "A")
    assert ask(lab, "new.d.test").rcode() == dns.rcode.NXDOMAIN


def test_what_is_wrong_is_refused(lab: LabDns) -> None:
    for text in ("mx A", "mx A 1.2.3", "mx.other.test. A 127.0.0.1", "sub NS ns.sub"):
        with pytest.raises(ValueError):
            lab.zone("bad.test", text)
    with pytest.raises(ValueError, match="is in no signed zone"):
        lab.fault("loose.test", "A", "bogus")


def test_proofs_of_hashed_names(lab: LabDns) -> None:
    lab.zone("h.test", ZONE, Signing(nsec3=Nsec3(iterations=3, salt=b"\x01\x02", opt_out=True)))
    lab.zone("cut.h.test", signed=False)
    records = [rrset[0] for rrset in ask(lab, "no.h.test").authority if rrset.rdtype == RdataType.NSEC3]
    assert {(record.algorithm, record.flags, record.iterations, record.salt) for record in records} == {(1, 1, 3, b"\x01\x02")}
    assert not secure(ask(lab, "no.h.test"))
    assert secure(ask(lab, "mx.h.test", "TLSA"))
    assert not secure(ask(lab, "cut.h.test", "DS"))
