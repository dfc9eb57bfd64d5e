"""Signatures and delegations as values: which are good, why others are not, and how much work they may cause."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import cast

import dns.name
import dns.rdata
import dns.rrset
import pytest
from dns.dnssectypes import Algorithm
from dns.rdataclass import IN
from dns.rdatatype import RdataType
from dns.rdtypes.ANY.DNSKEY import DNSKEY
from dns.rdtypes.ANY.DS import DS
from dns.rdtypes.ANY.RRSIG import RRSIG

from appliance_runtime.dns.signatures import (
    MAX_KEYS,
    MAX_PER_RRSET,
    MAX_RECORDS,
    MAX_SIGNATURES,
    Bogus,
    Effort,
    Lifetime,
    Verified,
    Zone,
    usable_delegation,
    verify,
    zone_of_keys,
)
from asyncos_shell.lab.zone_signing import Signing

NOW = datetime(2026, 3, 6, 9, 0, tzinfo=UTC)
APEX = dns.name.from_text("d.test.")
MX = dns.rrset.from_text("d.test.", 300, "IN", "MX", "10 mx.d.test.", "20 MX2.d.test.")


@pytest.fixture(scope="module")
def signing() -> Signing:
    return Signing()


@pytest.fixture(scope="module")
def zone(signing: Signing) -> Zone:
    return Zone.of(APEX, keys_of(signing))


def keys_of(signing: Signing) -> tuple[DNSKEY, ...]:
    return tuple(cast(DNSKEY, key) for key in signing.keys(APEX))


def changed(signature: RRSIG, **fields: object) -> RRSIG:
    return cast(RRSIG, signature.replace(**fields))


def reason(rrset: dns.rrset.RRset, signatures: list[RRSIG], zone: Zone, now: datetime = NOW, effort: Effort | None = None) -> str:
    with pytest.raises(Bogus) as bogus:
        verify(rrset, signatures, zone, now, effort or Effort())
    return str(bogus.value)


@pytest.mark.parametrize("algorithm", [5, 7, 8, 10, 13, 14, 15, 16])
def test_every_algorithm_in_use(algorithm: int) -> None:
    signing = Signing(algorithm=algorithm)
    zone = Zone.of(APEX, keys_of(signing))
    signature = signing.sign(MX, APEX, NOW)
    until = NOW + timedelta(days=14)
    assert verify(MX, [signature], zone, NOW, Effort()) == Verified(lifetime=Lifetime(ttl=300, until=until))
    assert reason(MX, [signing.sign(MX, APEX, NOW, "bogus")], zone) == "wrong signature of d.test MX"


def test_the_wording_of_names_and_the_order_of_records_do_not_matter(signing: Signing, zone: Zone) -> None:
    signature = signing.sign(MX, APEX, NOW)
    other = dns.rrset.from_text("D.Test.", 300, "IN", "MX", "20 mx2.D.test.", "10 MX.d.test.")
    assert verify(other, [signature], zone, NOW, Effort()).wildcard is None
    assert reason(dns.rrset.from_text("d.test.", 300, "IN", "MX", "10 mx.d.test."), [signature], zone) == "wrong signature of d.test MX"


def test_times(signing: Signing, zone: Zone) -> None:
    signature = signing.sign(MX, APEX, NOW)
    begins, ends = NOW - timedelta(days=1), NOW + timedelta(days=14)
    for moment in (begins, ends):
        verify(MX, [signature], zone, moment, Effort())
    second = timedelta(seconds=1)
    assert reason(MX, [signature], zone, begins - second) == "signature of d.test MX is not yet valid"
    assert reason(MX, [signature], zone, ends + second) == "signature of d.test MX has expired"
    # One good signature among others is enough.
    old = signing.sign(MX, APEX, NOW, "expired")
    assert verify(MX, [old, signature], zone, NOW, Effort()).lifetime.until == ends


def test_the_ttl_that_was_signed_is_the_longest(signing: Signing, zone: Zone) -> None:
    signature = signing.sign(MX, APEX, NOW)
    inflated = dns.rrset.from_rdata_list(MX.name, 999999, list(MX))
    assert verify(inflated, [signature], zone, NOW, Effort()).lifetime.ttl == 300
    lowered = dns.rrset.from_rdata_list(MX.name, 5, list(MX))
    assert verify(lowered, [signature], zone, NOW, Effort()).lifetime == Lifetime(ttl=5, until=NOW + timedelta(days=14))


def test_only_the_zone_itself_signs(signing: Signing, zone: Zone) -> None:
    assert reason(MX, [], zone) == "no signature of d.test MX"
    assert reason(MX, [signing.sign(MX, dns.name.root, NOW)], zone) == "no signature of d.test MX"
    assert reason(MX, [signing.sign(MX, APEX, NOW, "wrong-key")], zone) == "no key of d.test for the signature of d.test MX"
    outside = dns.rrset.from_text("other.test.", 300, "IN", "MX", "10 mx.d.test.")
    assert reason(outside, [signing.sign(outside, APEX, NOW)], zone) == "other.test MX does not belong to d.test"
    other_type = dns.rrset.from_text("d.test.", 300, "IN", "A", "127.0.0.1")
    assert reason(other_type, [signing.sign(MX, APEX, NOW)], zone) == "wrong signature of d.test A"


def test_records_of_a_wildcard(signing: Signing, zone: Zone) -> None:
    wildcard = dns.rrset.from_text("*.w.d.test.", 300, "IN", "A", "127.0.0.1")
    signature = signing.sign(wildcard, APEX, NOW)
    assert verify(wildcard, [signature], zone, NOW, Effort()).wildcard is None
    for owner in ("x.w.d.test.", "y.x.w.d.test."):
        expanded = dns.rrset.from_text(owner, 300, "IN", "A", "127.0.0.1")
        assert verify(expanded, [signature], zone, NOW, Effort()).wildcard == dns.name.from_text("w.d.test.")
    elsewhere = dns.rrset.from_text("x.v.d.test.", 300, "IN", "A", "127.0.0.1")
    assert reason(elsewhere, [signature], zone) == "wrong signature of x.v.d.test A"
    for labels in (0, 1, 4):
        assert reason(wildcard, [changed(signature, labels=labels)], zone) == "wrong signature of *.w.d.test A"


# -- bounds ---------------------------------------------------------------------------------------------------------------


def same_tag(key: DNSKEY, count: int) -> list[DNSKEY]:
    """Other keys with the same tag: it is a sum, so that words of the key may change places."""
    words = [key.key[n : n + 2] for n in range(0, len(key.key), 2)]
    keys = [cast(DNSKEY, key.replace(key=b"".join(words[n:] + words[:n]))) for n in range(1, count + 1)]
    assert {one.key_id() for one in keys} == {key.key_id()} and key not in keys
    return keys


def test_many_keys_with_one_tag_do_not_make_work(signing: Signing, zone: Zone) -> None:
    signature = signing.sign(MX, APEX, NOW)
    (key,) = zone.keys[signature.algorithm, signature.key_tag]
    effort = Effort()
    trap = Zone.of(APEX, [*same_tag(key, 30), key])
    assert reason(MX, [signature] * 5, trap, effort=effort) == "too many signatures of d.test MX"
    assert effort.signatures == MAX_SIGNATURES - MAX_PER_RRSET
    # A key beside which few others stand is still found.
    verify(MX, [signature], Zone.of(APEX, [*same_tag(key, MAX_PER_RRSET - 1), key]), NOW, Effort())


def test_many_signatures_do_not_make_work(signing: Signing, zone: Zone) -> None:
    wrong = [signing.sign(MX, APEX, NOW, "bogus")] * 100
    effort = Effort()
    assert reason(MX, wrong, zone, effort=effort) == "too many signatures of d.test MX"
    assert effort.signatures == MAX_SIGNATURES - MAX_PER_RRSET


def test_very_many_records_do_not_make_work(signing: Signing, zone: Zone) -> None:
    records = [dns.rdata.from_text(IN, RdataType.A, f"127.0.{n // 256}.{n % 256}") for n in range(MAX_RECORDS + 1)]
    crowd = dns.rrset.from_rdata(APEX, 300, *records)
    assert reason(crowd, [signing.sign(crowd, APEX, NOW)], zone) == "d.test A has too many records"
    crowd = dns.rrset.from_rdata(APEX, 300, *records[1:])
    verify(crowd, [signing.sign(crowd, APEX, NOW)], zone, NOW, Effort())


def test_the_work_for_a_whole_answer_is_bounded(signing: Signing, zone: Zone) -> None:
    effort = Effort(signatures=2)
    signature = signing.sign(MX, APEX, NOW)
    verify(MX, [signature], zone, NOW, effort)
    verify(MX, [signature], zone, NOW, effort)
    assert reason(MX, [signature], zone, effort=effort) == "checking the answer takes too many signatures"


def test_many_keys_and_delegations_do_not_make_work(signing: Signing) -> None:
    """Each pair of a DS record and a key with the same tag costs a hash; they are bounded like those of names."""
    keys, _, (ds,) = entry(signing)
    key = next(key for key in keys_of(signing) if key.flags == 257)
    crowd = dns.rrset.from_rdata(APEX, 3600, key, *same_tag(key, 30))
    signatures = [signing.sign(crowd, APEX, NOW)]
    assert zone_of_keys(crowd, signatures, [ds], NOW, Effort())[0].name == APEX
    wrong = [cast(DS, ds.replace(digest=bytes([n]) * 32)) for n in range(3)]
    with pytest.raises(Bogus, match="checking the answer takes too many hashes"):
        zone_of_keys(crowd, signatures, [*wrong, ds], NOW, Effort())
    many = dns.rrset.from_rdata(APEX, 3600, *[cast(DNSKEY, key.replace(key=bytes([n]) * 64)) for n in range(MAX_KEYS)], key)
    many_named = [cast(DS, ds.replace(digest=bytes([n]) * 32)) for n in range(MAX_KEYS)]
    for named_keys, delegation in ((many, [ds]), (keys, [*many_named, ds])):
        with pytest.raises(Bogus, match=r"d\.test DNSKEY or its delegation has too many records"):
            zone_of_keys(named_keys, signatures, delegation, NOW, Effort())


@pytest.mark.parametrize("octets", [b"", b"\x00", b"\x00\x00", b"\x03\x01\x00\x01", bytes(64), b"\xff" * 64, b"\x01\x02" + bytes(130)])
@pytest.mark.parametrize("algorithm", [5, 8, 13, 14, 15, 16])
def test_a_key_that_is_none_fails_quietly(signing: Signing, octets: bytes, algorithm: int) -> None:
    key = DNSKEY(IN, RdataType.DNSKEY, 256, 3, Algorithm.make(algorithm), octets)  # type: ignore[no-untyped-call]
    signature = changed(signing.sign(MX, APEX, NOW), algorithm=algorithm, key_tag=key.key_id())
    assert reason(MX, [signature], Zone.of(APEX, [key])) == "wrong signature of d.test MX"


# -- delegations ----------------------------------------------------------------------------------------------------------


def entry(signing: Signing) -> tuple[dns.rrset.RRset, list[RRSIG], list[DS]]:
    keys = signing.keys(APEX)
    return keys, [signing.sign(keys, APEX, NOW)], [cast(DS, record) for record in signing.ds(APEX)]


def test_the_keys_of_a_delegation(signing: Signing) -> None:
    keys, signatures, delegation = entry(signing)
    zone, lifetime = zone_of_keys(keys, signatures, delegation, NOW, Effort())
    assert (zone, lifetime.ttl) == (Zone.of(APEX, keys_of(signing)), 3600)
    zone, _ = zone_of_keys(keys, signatures, [key for key in keys_of(signing) if key.flags == 257], NOW, Effort())
    assert zone == Zone.of(APEX, keys_of(signing))


def test_keys_that_the_delegation_does_not_name(signing: Signing) -> None:
    keys, signatures, (ds,) = entry(signing)
    wrong = cast(DS, ds.replace(digest=bytes(32)))
    for delegation in ([wrong], [cast(DS, ds.replace(key_tag=ds.key_tag ^ 1))], []):
        with pytest.raises(Bogus, match=r"none of d\.test DNSKEY is a key that the delegation names"):
            zone_of_keys(keys, signatures, delegation, NOW, Effort())
    assert zone_of_keys(keys, signatures, [wrong, ds], NOW, Effort())[0].name == APEX


def test_keys_must_be_signed_with_the_key_that_is_named(signing: Signing) -> None:
    """The zone-signing key does not vouch for itself."""
    keys, _, delegation = entry(signing)
    other = Signing()
    by_zone_key = changed(signing.sign(keys, APEX, NOW), key_tag=next(key.key_id() for key in keys_of(signing) if key.flags == 256))
    for signatures, expected in (
        ([by_zone_key], "no key of d.test for the signature of d.test DNSKEY"),
        ([other.sign(keys, APEX, NOW)], "no key of d.test for the signature of d.test DNSKEY"),
        ([signing.sign(keys, APEX, NOW, "bogus")], "wrong signature of d.test DNSKEY"),
        ([signing.sign(keys, APEX, NOW, "expired")], "signature of d.test DNSKEY has expired"),
        ([], "no signature of d.test DNSKEY"),
    ):
        with pytest.raises(Bogus) as bogus:
            zone_of_keys(keys, signatures, delegation, NOW, Effort())
        assert str(bogus.value) == expected


@pytest.mark.parametrize("change", [{"flags": 257 | 0x80}, {"flags": 1}, {"protocol": 2}])
def test_keys_that_must_not_be_used(signing: Signing, change: dict[str, int]) -> None:
    """Revoked, not of a zone, of another protocol: even where the delegation names them."""
    plain = next(key for key in keys_of(signing) if key.flags == 257)
    keys = dns.rrset.from_rdata(APEX, 3600, cast(DNSKEY, plain.replace(**change)))
    with pytest.raises(Bogus, match=r"none of d\.test DNSKEY"):
        zone_of_keys(keys, [signing.sign(keys, APEX, NOW)], [cast(DNSKEY, keys[0])], NOW, Effort())


@pytest.mark.parametrize(
    ("records", "usable"),
    [
        (["1 8 2 " + "aa" * 32], 1),
        (["1 8 1 " + "aa" * 20], 1),
        (["1 8 1 " + "aa" * 20, "1 8 2 " + "aa" * 32], 1),  # RFC 4509 3: the weak digest does not count beside a better one
        (["1 8 4 " + "aa" * 48, "1 13 2 " + "aa" * 32], 2),
        (["1 12 2 " + "aa" * 32], 0),
        (["1 1 2 " + "aa" * 32], 0),
        (["1 253 2 " + "aa" * 32], 0),
        (["1 8 3 " + "aa" * 32], 0),
        (["1 8 200 " + "aa" * 32, "1 13 200 " + "aa" * 32], 0),
        ([], 0),
    ],
)
def test_delegations_that_can_be_checked(records: list[str], usable: int) -> None:
    delegation = [dns.rdata.from_text(IN, RdataType.DS, text) for text in records]
    assert len(usable_delegation(delegation)) == usable
