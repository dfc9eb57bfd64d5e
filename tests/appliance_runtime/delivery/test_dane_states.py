"""States of a host, and what destinations make of them (delivery.md 7.1 to 7.3, 7.5), row by row over values."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from appliance_runtime.delivery.dane import Decision, HostDane, bases, decide, impossible, look_up
from appliance_runtime.delivery.tls_policy import DaneState
from appliance_runtime.dns.answers import AddressAnswer, Security, Tlsa, TlsaAnswer, TlsaStatus
from appliance_state.model.destinations import DaneSupport

SECURE, INSECURE, INDETERMINATE = Security.SECURE, Security.INSECURE, Security.INDETERMINATE
HOST, TARGET = "mx1.d.test", "real.d.test"
GOOD = Tlsa(usage=3, selector=1, matching_type=1, data=bytes(32))
ODD = Tlsa(usage=3, selector=1, matching_type=99, data=bytes(32))
NO, OPPORTUNISTIC, MANDATORY = DaneSupport.NO, DaneSupport.OPPORTUNISTIC, DaneSupport.MANDATORY


def addresses(security: Security, *, canonical: str = HOST, alias: Security | None = None) -> AddressAnswer:
    return AddressAnswer(addresses=("192.0.2.1",), security=security, canonical_name=canonical, alias=alias)


def answer(status: TlsaStatus, security: Security = SECURE, *records: Tlsa) -> TlsaAnswer:
    return TlsaAnswer(status=status, security=security, records=records, canonical_name="")


class Asked:
    """A zone of TLSA answers that remembers what was asked."""

    def __init__(self, answers: Mapping[str, TlsaAnswer]) -> None:
        self.answers = answers
        self.names: list[str] = []

    async def __call__(self, name: str) -> TlsaAnswer:
        self.names.append(name)
        return self.answers[name]


OWNER, OWNER_OF_TARGET = "_25._tcp.mx1.d.test", "_25._tcp.real.d.test"


@pytest.mark.parametrize(
    ("tlsa", "state", "what"),
    [
        (answer("found", SECURE, GOOD), DaneState.USABLE, ""),
        (answer("found", SECURE, ODD, GOOD), DaneState.USABLE, ""),
        (answer("found", SECURE, ODD), DaneState.UNUSABLE, ""),
        (answer("nodata"), DaneState.ABSENT, ""),
        (answer("nxdomain"), DaneState.ABSENT, ""),
        (answer("found", INSECURE, GOOD), DaneState.INSECURE, "TLSA"),
        (answer("nodata", INSECURE), DaneState.INSECURE, "TLSA"),
        (answer("found", INDETERMINATE, GOOD), DaneState.INSECURE, "TLSA"),
        (answer("bogus", Security.BOGUS), DaneState.LOOKUP_FAILED, "bogus"),
        (answer("servfail", INDETERMINATE), DaneState.LOOKUP_FAILED, "ServFail"),
        (answer("refused", INDETERMINATE), DaneState.LOOKUP_FAILED, "Refused"),
        (answer("timeout", INDETERMINATE), DaneState.LOOKUP_FAILED, "Timeout"),
    ],
)
@pytest.mark.parametrize("insecure_mx", ["", "d.test"])
async def test_rows_1_to_5_and_8a(tlsa: TlsaAnswer, state: DaneState, what: str, insecure_mx: str) -> None:
    ask = Asked({OWNER: tlsa})
    found = await look_up(HOST, 25, addresses(SECURE), ask, insecure_mx=insecure_mx)
    assert (found.state, found.what, found.base, found.insecure_mx) == (state, what, HOST, insecure_mx)
    assert ask.names == [OWNER]


def test_only_usable_records_are_compared() -> None:
    found = HostDane(state=DaneState.USABLE, base=HOST, published=(ODD, GOOD))
    assert found.records == (GOOD,)


@pytest.mark.parametrize("alias", [None, INSECURE])
@pytest.mark.parametrize("insecure_mx", ["", "d.test"])
async def test_rows_6_and_8_ask_nothing(alias: Security | None, insecure_mx: str) -> None:
    ask = Asked({})
    found = await look_up(HOST, 25, addresses(INSECURE, canonical=TARGET, alias=alias), ask, insecure_mx=insecure_mx)
    assert (found.state, found.what, found.insecure_mx) == (DaneState.INSECURE, "A", insecure_mx)
    assert ask.names == []


async def test_row_6a_asks_at_the_alias_itself() -> None:
    ask = Asked({OWNER: answer("found", SECURE, GOOD)})
    found = await look_up(HOST, 25, addresses(INSECURE, canonical=TARGET, alias=SECURE), ask)
    assert (found.state, found.base, ask.names) == (DaneState.USABLE, HOST, [OWNER])


@pytest.mark.parametrize(
    ("at_target", "state", "base", "names"),
    [
        (answer("found", SECURE, GOOD), DaneState.USABLE, TARGET, [OWNER_OF_TARGET]),
        (answer("nodata"), DaneState.UNUSABLE, HOST, [OWNER_OF_TARGET, OWNER]),
        (answer("nxdomain"), DaneState.UNUSABLE, HOST, [OWNER_OF_TARGET, OWNER]),
        (answer("bogus", Security.BOGUS), DaneState.LOOKUP_FAILED, TARGET, [OWNER_OF_TARGET]),
        (answer("nodata", INSECURE), DaneState.INSECURE, TARGET, [OWNER_OF_TARGET]),
    ],
)
async def test_an_alias_is_asked_for_at_its_end_first(at_target: TlsaAnswer, state: DaneState, base: str, names: list[str]) -> None:
    ask = Asked({OWNER_OF_TARGET: at_target, OWNER: answer("found", SECURE, ODD)})
    found = await look_up(HOST, 25, addresses(SECURE, canonical=TARGET, alias=SECURE), ask)
    assert (found.state, found.base, ask.names) == (state, base, names)


async def test_the_port_of_a_route_is_in_the_owner_name() -> None:
    ask = Asked({"_2525._tcp.mx1.d.test": answer("nodata")})
    assert (await look_up(HOST, 2525, addresses(SECURE), ask)).state is DaneState.ABSENT


async def test_mandatory_asks_nothing_behind_an_insecure_mx_record() -> None:
    ask = Asked({})
    found = await look_up(HOST, 25, addresses(SECURE), ask, insecure_mx="d.test", support=MANDATORY)
    assert ask.names == []
    assert decide(found, MANDATORY, host=HOST, domain="d.test").skipped == "non DNSSEC destination d.test, host mx1.d.test skipped"


def test_bases() -> None:
    assert bases(HOST, addresses(SECURE)) == (HOST,)
    assert bases(HOST, addresses(SECURE, canonical=TARGET)) == (TARGET, HOST)
    assert bases(HOST, addresses(INDETERMINATE)) == ()
    assert bases(HOST, addresses(Security.BOGUS)) == ()


def host(state: DaneState, what: str = "", insecure_mx: str = "") -> HostDane:
    return HostDane(state=state, base=HOST, published=(GOOD,), what=what, insecure_mx=insecure_mx)


# state, what Opportunistic does without, what keeps Mandatory away, text of the alert
DECISIONS = [
    (host(DaneState.ABSENT), "no TLSA record for mx1.d.test (d.test)", "no TLSA record for mx1.d.test (d.test), host skipped",
     "no TLSA record"),
    (host(DaneState.INSECURE, "A"), "insecure A record for mx1.d.test (d.test)", "insecure A record for mx1.d.test (d.test), host skipped",
     "insecure A record"),
    (host(DaneState.INSECURE, "TLSA"), "insecure TLSA record for mx1.d.test (d.test)",
     "insecure TLSA record for mx1.d.test (d.test), host skipped", "insecure TLSA record"),
    (impossible("192.0.2.9"), "route to address 192.0.2.9 for d.test", "route to address 192.0.2.9 for d.test, host skipped",
     "route to an address"),
    (host(DaneState.UNUSABLE), "", "TLSA records of mx1.d.test (d.test) are unusable, host skipped", "TLSA records are unusable"),
    (host(DaneState.USABLE), "", "", ""),
    (host(DaneState.OFF), "", "", ""),
]  # fmt: skip


@pytest.mark.parametrize(("dane", "not_used", "skipped", "alert"), DECISIONS, ids=lambda value: getattr(value, "state", None))
def test_state_and_setting(dane: HostDane, not_used: str, skipped: str, alert: str) -> None:
    assert decide(dane, NO, host=HOST, domain="d.test") == Decision()
    assert decide(dane, OPPORTUNISTIC, host=HOST, domain="d.test") == Decision(not_used=not_used)
    assert decide(dane, MANDATORY, host=HOST, domain="d.test") == Decision(skipped=skipped, alert=alert)


@pytest.mark.parametrize("how", ["bogus", "ServFail", "Refused", "Timeout"])
@pytest.mark.parametrize("support", [OPPORTUNISTIC, MANDATORY])
def test_a_failed_look_up_keeps_both_away(how: str, support: DaneSupport) -> None:
    decision = decide(host(DaneState.LOOKUP_FAILED, how), support, host=HOST, domain="d.test")
    assert decision.skipped == f"TLSA lookup for mx1.d.test (d.test) failed: {how}, host skipped"
    assert decision.alert == f"TLSA lookup failed ({how})"


@pytest.mark.parametrize("state", [state for state in DaneState if state is not DaneState.OFF])
def test_an_insecure_mx_record_keeps_only_mandatory_away(state: DaneState) -> None:
    flagged, plain = host(state, "A", insecure_mx="d.test"), host(state, "A")
    assert decide(flagged, OPPORTUNISTIC, host=HOST, domain="d.test") == decide(plain, OPPORTUNISTIC, host=HOST, domain="d.test")
    decision = decide(flagged, MANDATORY, host=HOST, domain="d.test")
    assert decision == Decision(skipped="non DNSSEC destination d.test, host mx1.d.test skipped", alert="insecure MX record")
