"""The TLS decision as a table: step x level, and the texts of its reasons (delivery.md 4.1, 4.3)."""

from __future__ import annotations

import pytest

from appliance_runtime.delivery.tls_policy import REASONS, DaneState, Reason, Step, TlsPolicy, Verdict
from appliance_state.model.destinations import TlsSupport

CLEAR, FAIL, TLS, STARTTLS, VERIFY = Verdict.CLEAR, Verdict.FAIL, Verdict.TLS, Verdict.STARTTLS, Verdict.VERIFY

#                              level 1  2         3         4         5         6
TABLE = {
    Step.EHLO_REFUSED: (CLEAR, CLEAR, FAIL, CLEAR, FAIL, FAIL),
    Step.NOT_OFFERED: (CLEAR, CLEAR, FAIL, CLEAR, FAIL, FAIL),
    Step.OFFERED: (CLEAR, STARTTLS, STARTTLS, STARTTLS, STARTTLS, STARTTLS),
    Step.STARTTLS_REFUSED: (None, CLEAR, FAIL, CLEAR, FAIL, FAIL),
    Step.INJECTED: (None, FAIL, FAIL, FAIL, FAIL, FAIL),
    Step.HANDSHAKE_FAILED: (None, FAIL, FAIL, FAIL, FAIL, FAIL),
    Step.LOST_AFTER_TLS: (None, FAIL, FAIL, FAIL, FAIL, FAIL),
    Step.READY: (None, TLS, TLS, VERIFY, VERIFY, VERIFY),
    Step.NOT_VERIFIED: (None, None, None, TLS, FAIL, FAIL),
    Step.VERIFIED: (None, None, None, TLS, TLS, TLS),
    Step.NOT_MATCHED: (None, FAIL, FAIL, FAIL, FAIL, FAIL),
    Step.MATCHED: (None, TLS, TLS, TLS, TLS, TLS),
}


def test_the_table_has_every_step() -> None:
    assert set(TABLE) == set(Step)


@pytest.mark.parametrize("support", list(TlsSupport))
@pytest.mark.parametrize("step", list(Step), ids=lambda step: step.name)
def test_decision(step: Step, support: TlsSupport) -> None:
    expected = TABLE[step][support.level - 1]
    if expected is not None:
        assert TlsPolicy(support).decide(step) is expected


@pytest.mark.parametrize("support", list(TlsSupport)[1:])
@pytest.mark.parametrize("state", [DaneState.USABLE, DaneState.UNUSABLE])
def test_tlsa_records_make_tls_mandatory_at_every_level(support: TlsSupport, state: DaneState) -> None:
    policy = TlsPolicy(support, state)
    for step in (Step.EHLO_REFUSED, Step.NOT_OFFERED, Step.STARTTLS_REFUSED):
        assert policy.decide(step) is FAIL
    expected = Verdict.MATCH if state is DaneState.USABLE else VERIFY if support.verifies else TLS
    assert policy.decide(Step.READY) is expected


@pytest.mark.parametrize("support", list(TlsSupport)[1:])
@pytest.mark.parametrize("state", [state for state in DaneState if not state.demands_tls])
def test_every_other_state_leaves_the_decision_to_the_level(support: TlsSupport, state: DaneState) -> None:
    assert {state.name for state in DaneState if state.demands_tls} == {"USABLE", "UNUSABLE"}
    assert all(TlsPolicy(support, state).decide(step) is TlsPolicy(support).decide(step) for step in Step)


def test_no_step_after_the_220_leads_back_to_clear_text() -> None:
    after = set(Step) - {Step.EHLO_REFUSED, Step.NOT_OFFERED, Step.OFFERED, Step.STARTTLS_REFUSED}
    assert all(TlsPolicy(support).decide(step) is not CLEAR for support in TlsSupport for step in after)


@pytest.mark.parametrize(
    ("reason", "detail", "line", "alert"),
    [
        (Reason.NO_ESMTP, "500 5.5.1 x", "EHLO command not supported '500 5.5.1 x'", "EHLO was not accepted"),
        (Reason.NOT_OFFERED, "", "STARTTLS command not supported", "STARTTLS was not offered"),
        (
            Reason.REFUSED,
            "454 4.7.0 TLS not available",
            "STARTTLS unexpected response '454 4.7.0 TLS not available'",
            "STARTTLS was refused: 454 4.7.0 TLS not available",
        ),
        (Reason.INJECTED, "", "unexpected data after the STARTTLS response", "unexpected data after the STARTTLS response"),
        (Reason.HANDSHAKE, "wrong version number", "wrong version number", "the TLS handshake failed: wrong version number"),
        (Reason.AFTER_TLS, "connection lost after the handshake", "connection lost after the handshake",
         "the TLS handshake failed: connection lost after the handshake"),
        (Reason.VERIFY, "hostname mismatch", "verify error: hostname mismatch", "the certificate was not verified: hostname mismatch"),
        (Reason.DANE, "x", "DANE error: x", "no matching TLSA record"),
    ],
)  # fmt: skip
def test_texts(reason: Reason, detail: str, line: str, alert: str) -> None:
    assert reason.text(detail) == line
    assert reason.alert(detail) == alert
    assert reason.dane_alert == alert.removesuffix(f": {detail}")


def test_a_detail_with_braces_stays_as_it_is() -> None:
    assert Reason.REFUSED.text("454 {detail} {0}") == "STARTTLS unexpected response '454 {detail} {0}'"


def test_every_failing_step_but_ready_has_a_reason() -> None:
    failing = {step for step in Step for support in TlsSupport if TlsPolicy(support).decide(step) is FAIL}
    assert failing <= set(REASONS)
