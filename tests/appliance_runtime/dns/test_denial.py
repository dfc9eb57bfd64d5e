"""What NSEC and NSEC3 records prove, and what they must not be taken to prove (RFC 4035 5.4, RFC 6840 4, RFC 5155 8)."""

from __future__ import annotations

import base64
from typing import cast

import dns.name
import dns.rdata
import pytest
from dns.rdataclass import IN
from dns.rdatatype import RdataType
from dns.rdtypes.ANY.NSEC import NSEC
from dns.rdtypes.ANY.NSEC3 import NSEC3
from hypothesis import given
from hypothesis import strategies as st

from appliance_runtime.dns.answers import Security
from appliance_runtime.dns.nsec import NsecDenial
from appliance_runtime.dns.nsec3 import MAX_ITERATIONS, Nsec3Denial, nsec3_digest
from appliance_runtime.dns.signatures import MAX_HASHES, Bogus, Effort

SECURE, INSECURE = Security.SECURE, Security.INSECURE
APEX = dns.name.from_text("d.test.")
CHAIN = """\
d.test a.d.test NS SOA MX RRSIG NSEC DNSKEY
a.d.test cut.d.test A CNAME RRSIG NSEC
cut.d.test dname.d.test NS RRSIG NSEC
dname.d.test deep.empty.d.test DNAME RRSIG NSEC
deep.empty.d.test mx.d.test A RRSIG NSEC
mx.d.test signed.d.test A RRSIG NSEC
signed.d.test *.wild.d.test NS DS RRSIG NSEC
*.wild.d.test z.d.test MX RRSIG NSEC
z.d.test d.test A RRSIG NSEC
"""


def name(text: str) -> dns.name.Name:
    return dns.name.from_text(text if text.endswith(".") else f"{text}.")


def nsec(*owners: str) -> NsecDenial:
    """The records of `CHAIN` with these owners; none = all."""
    rows = [line.split(" ", 1) for line in CHAIN.splitlines()]
    return NsecDenial(
        APEX,
        tuple(
            (name(owner), cast(NSEC, dns.rdata.from_text(IN, RdataType.NSEC, rest, origin=dns.name.root, relativize=False)))
            for owner, rest in rows
            if not owners or owner in owners
        ),
    )


def verdict(call: object, *arguments: object) -> Security | None:
    """None = bogus."""
    try:
        return call(*arguments)  # type: ignore[operator, no-any-return]
    except Bogus:
        return None


@pytest.mark.parametrize(
    ("asked", "kind", "expected"),
    [
        ("mx.d.test", "MX", SECURE),
        ("mx.d.test", "A", None),
        ("d.test", "A", SECURE),
        ("d.test", "MX", None),
        ("a.d.test", "MX", None),  # there is an alias
        ("cut.d.test", "DS", SECURE),
        ("cut.d.test", "A", None),  # the zone above speaks of its delegation only
        ("signed.d.test", "DS", None),
        ("d.test", "DS", None),  # the zone below cannot deny its own delegation
        ("empty.d.test", "A", SECURE),  # only names below it have records
        ("x.wild.d.test", "A", SECURE),
        ("x.wild.d.test", "MX", None),
        ("nothing.d.test", "A", None),  # it does not exist at all
        ("x.cut.d.test", "A", None),
        ("x.dname.d.test", "A", None),
    ],
)
def test_no_such_type(asked: str, kind: str, expected: Security | None) -> None:
    assert verdict(nsec().nodata, name(asked), RdataType[kind]) is expected


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("nothing.d.test", SECURE),
        ("b.a.d.test", SECURE),
        ("zz.d.test", SECURE),  # behind the last name
        ("x.z.d.test", SECURE),
        ("mx.d.test", None),
        ("empty.d.test", None),
        ("x.wild.d.test", None),  # a wildcard stands for it
        ("x.cut.d.test", None),
        ("x.signed.d.test", None),
        ("x.dname.d.test", None),
        ("d.test", None),
    ],
)
def test_no_such_name(asked: str, expected: Security | None) -> None:
    assert verdict(nsec().nxdomain, name(asked)) is expected


def test_the_wildcard_must_be_denied_too() -> None:
    assert verdict(nsec("mx.d.test").nxdomain, name("nothing.d.test")) is None
    assert verdict(nsec("mx.d.test", "d.test").nxdomain, name("nothing.d.test")) is SECURE
    assert verdict(nsec("d.test").nxdomain, name("nothing.d.test")) is None
    assert verdict(NsecDenial(APEX, ()).nxdomain, name("nothing.d.test")) is None
    assert verdict(NsecDenial(APEX, ()).nodata, name("mx.d.test"), RdataType.A) is None


@pytest.mark.parametrize(
    ("asked", "encloser", "expected"),
    [
        ("x.wild.d.test", "wild.d.test", SECURE),
        ("y.x.wild.d.test", "wild.d.test", SECURE),
        ("x.wild.d.test", "d.test", None),  # a nearer wildcard exists
        ("mx.d.test", "d.test", None),  # the name itself exists
        ("x.mx.d.test", "d.test", None),  # a nearer name exists
    ],
)
def test_expansion_of_a_wildcard(asked: str, encloser: str, expected: Security | None) -> None:
    assert verdict(nsec().expansion, name(asked), name(encloser)) is expected


def test_delegations() -> None:
    assert nsec().is_cut(name("cut.d.test"))
    assert not nsec().is_cut(name("mx.d.test")) and not nsec().is_cut(name("d.test"))


# -- hashed ---------------------------------------------------------------------------------------------------------------

TYPES = {
    "d.test": "NS SOA MX RRSIG DNSKEY NSEC3PARAM",
    "a.d.test": "A CNAME RRSIG",
    "cut.d.test": "NS",
    "dname.d.test": "DNAME RRSIG",
    "empty.d.test": "",
    "deep.empty.d.test": "A RRSIG",
    "mx.d.test": "A RRSIG",
    "signed.d.test": "NS DS RRSIG",
    "wild.d.test": "",
    "*.wild.d.test": "MX RRSIG",
    "z.d.test": "A RRSIG",
}


def nsec3(
    *, opt_out: bool = False, iterations: int = 0, without: tuple[str, ...] = (), left_out: tuple[str, ...] = (), flags: int | None = None
) -> Nsec3Denial:
    """The whole chain of `TYPES`; `left_out`: not in the zone; `without`: records not in the answer."""
    hashes = {nsec3_digest(name(owner), b"\xab", iterations): owner for owner in TYPES if owner not in left_out}
    order = sorted(hashes)
    records = []
    for index, digest in enumerate(order):
        following = base64.b32hexencode(order[(index + 1) % len(order)]).decode()
        text = f"1 {int(opt_out) if flags is None else flags} {iterations} ab {following} {TYPES[hashes[digest]]}"
        if hashes[digest] not in without:
            owner = dns.name.Name((base64.b32hexencode(digest), *APEX.labels))
            records.append((owner, cast(NSEC3, dns.rdata.from_text(IN, RdataType.NSEC3, text))))
    return Nsec3Denial.of(APEX, records, Effort())


def weaker(expected: Security | None, opt_out: bool) -> Security | None:
    return INSECURE if opt_out and expected is SECURE else expected


@pytest.mark.parametrize("opt_out", [False, True])
@pytest.mark.parametrize(
    ("asked", "kind", "expected", "in_gap"),
    [
        ("mx.d.test", "MX", SECURE, False),
        ("mx.d.test", "A", None, False),
        ("a.d.test", "MX", None, False),
        ("cut.d.test", "DS", SECURE, False),
        ("cut.d.test", "A", None, False),
        ("signed.d.test", "DS", None, False),
        ("d.test", "DS", None, False),
        ("empty.d.test", "A", SECURE, False),
        ("x.wild.d.test", "A", SECURE, True),
        ("x.wild.d.test", "MX", None, True),
        ("x.cut.d.test", "A", None, True),
        ("x.dname.d.test", "A", None, True),
    ],
)
def test_no_such_type_by_hashes(asked: str, kind: str, expected: Security | None, in_gap: bool, opt_out: bool) -> None:
    found = verdict(nsec3(opt_out=opt_out).nodata, name(asked), RdataType[kind])
    assert found is weaker(expected, opt_out and in_gap)


@pytest.mark.parametrize("opt_out", [False, True])
@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("nothing.d.test", SECURE),
        ("a.b.c.nothing.d.test", SECURE),
        ("x.z.d.test", SECURE),
        ("x.empty.d.test", SECURE),
        ("mx.d.test", None),
        ("empty.d.test", None),
        ("x.wild.d.test", None),
        ("x.cut.d.test", None),
        ("x.signed.d.test", None),
        ("x.dname.d.test", None),
        ("d.test", None),
    ],
)
def test_no_such_name_by_hashes(asked: str, expected: Security | None, opt_out: bool) -> None:
    assert verdict(nsec3(opt_out=opt_out).nxdomain, name(asked)) is weaker(expected, opt_out)


def test_a_delegation_that_is_left_out_lies_in_a_gap_with_opt_out() -> None:
    """Without the flag the same records prove that the name does not exist, so that an answer without data is wrong."""
    left_out = {"left_out": ("cut.d.test",)}
    assert verdict(nsec3(opt_out=True, **left_out).nodata, name("cut.d.test"), RdataType.DS) is INSECURE
    assert verdict(nsec3(**left_out).nodata, name("cut.d.test"), RdataType.DS) is None
    assert not nsec3(opt_out=True, **left_out).is_cut(name("cut.d.test"))
    assert nsec3().is_cut(name("cut.d.test")) and not nsec3().is_cut(name("mx.d.test"))


@pytest.mark.parametrize("opt_out", [False, True])
@pytest.mark.parametrize(
    ("asked", "encloser", "expected"),
    [("x.wild.d.test", "wild.d.test", SECURE), ("y.x.wild.d.test", "wild.d.test", SECURE), ("x.mx.d.test", "d.test", None)],
)
def test_expansion_of_a_wildcard_by_hashes(asked: str, encloser: str, expected: Security | None, opt_out: bool) -> None:
    assert verdict(nsec3(opt_out=opt_out).expansion, name(asked), name(encloser)) is weaker(expected, opt_out)


def test_every_record_of_a_proof_is_needed() -> None:
    """Leave out one record of the chain after the other: some of them carry the proof, and without these there is none."""
    asked = name("x.z.d.test")
    needed = [owner for owner in TYPES if verdict(nsec3(without=(owner,)).nxdomain, asked) is None]
    assert "z.d.test" in needed and 2 <= len(needed) <= 3


@pytest.mark.parametrize(("iterations", "expected"), [(MAX_ITERATIONS, SECURE), (MAX_ITERATIONS + 1, INSECURE)])
def test_too_many_iterations_prove_nothing_and_cost_nothing(iterations: int, expected: Security) -> None:
    denial = nsec3(iterations=iterations)
    assert verdict(denial.nxdomain, name("nothing.d.test")) is expected
    assert verdict(denial.nodata, name("mx.d.test"), RdataType.MX) is expected
    assert verdict(denial.expansion, name("x.wild.d.test"), name("wild.d.test")) is expected
    assert (denial.effort.hashes == MAX_HASHES) == (expected is INSECURE)


def test_records_hashed_in_an_unknown_way_are_not_there() -> None:
    assert verdict(nsec3(flags=2).nxdomain, name("nothing.d.test")) is None
    records = [(dns.name.from_text("not-a-hash!.d.test"), record) for record in nsec3().records.values()]
    assert Nsec3Denial.of(APEX, records, Effort()).records == {}
    records = [(dns.name.from_text(f"{base64.b32hexencode(digest).decode()}.other.test"), r) for digest, r in nsec3().records.items()]
    assert Nsec3Denial.of(APEX, records, Effort()).records == {}


def test_the_hash_of_the_standard() -> None:
    """RFC 5155 appendix A."""
    digest = nsec3_digest(name("a.Example"), b"\xaa\xbb\xcc\xdd", 12)
    assert base64.b32hexencode(digest).lower() == b"35mthgpgcu1qg68fab165klnsnk3dpvl"


def test_hashes_are_bounded() -> None:
    with pytest.raises(Bogus, match="too many hashes"):
        nsec3().nxdomain(name(".".join("a" * 100) + ".d.test"))


LABELS = st.sampled_from(["a", "b", "mx", "cut", "dname", "empty", "deep", "signed", "wild", "*", "z", "zz", "0"])


@given(st.lists(LABELS, min_size=1, max_size=4), st.sampled_from([RdataType.A, RdataType.MX, RdataType.DS]))
def test_both_ways_prove_the_same_of_any_name(labels: list[str], kind: RdataType) -> None:
    asked = name(".".join(labels) + ".d.test")
    assert verdict(nsec().nxdomain, asked) is verdict(nsec3().nxdomain, asked)
    if verdict(nsec().nxdomain, asked) is None:
        assert verdict(nsec().nodata, asked, kind) is verdict(nsec3().nodata, asked, kind)
