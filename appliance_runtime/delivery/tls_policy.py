"""What a connection may do after each answer of the peer: one table of level and step (delivery.md 4.1, 4.3). Pure.

A connection to a host goes through steps. Each step that ends the search for TLS leads to one of: mail in clear text on
this connection, mail in TLS, or failure with a reason; a failed connection carries nothing of any message. After the 220
to STARTTLS no level leads back to clear text.
"""

from __future__ import annotations

from enum import Enum

from attrs import frozen

from appliance_state.model.destinations import TlsSupport


class DaneState(Enum):
    """What DNS says about DANE for a host (delivery.md 7.2)."""

    OFF = "off"
    USABLE = "usable"
    UNUSABLE = "unusable"
    ABSENT = "absent"
    INSECURE = "insecure"
    IMPOSSIBLE = "impossible"
    LOOKUP_FAILED = "lookup_failed"

    @property
    def demands_tls(self) -> bool:
        """The host promises TLS by signed records: whoever takes it away is not the host (RFC 7672 2.2)."""
        return self in (DaneState.USABLE, DaneState.UNUSABLE)


class Reason(Enum):
    """Why a connection was given up for TLS: key, text after `TLS failed: `, text of the alert (logs-and-alerts.md 7.2).

    `{detail}` is what tells this peer from others: its reply, the text of OpenSSL, the text of the verification. The alert
    about DANE has the text of the other alert without it.
    """

    NO_ESMTP = "no_esmtp", "EHLO command not supported '{detail}'", "EHLO was not accepted"
    NOT_OFFERED = "not_offered", "STARTTLS command not supported", "STARTTLS was not offered"
    REFUSED = "refused", "STARTTLS unexpected response '{detail}'", "STARTTLS was refused: {detail}"
    INJECTED = "injected", "unexpected data after the STARTTLS response", "unexpected data after the STARTTLS response"
    HANDSHAKE = "handshake", "{detail}", "the TLS handshake failed: {detail}"
    AFTER_TLS = "after_tls", "{detail}", "the TLS handshake failed: {detail}"
    VERIFY = "verify", "verify error: {detail}", "the certificate was not verified: {detail}"
    DANE = "dane", "DANE error: {detail}", "no matching TLSA record"

    def __init__(self, key: str, text: str, alert: str) -> None:
        self.key = key
        self._text = text
        self._alert = alert

    def text(self, detail: str = "") -> str:
        return self._text.replace("{detail}", detail)

    def alert(self, detail: str = "") -> str:
        return self._alert.replace("{detail}", detail)

    @property
    def dane_alert(self) -> str:
        """For a host whose TLSA records demanded TLS."""
        return self._alert.removesuffix(": {detail}")


class Step(Enum):
    """What the peer has just done."""

    EHLO_REFUSED = "EHLO answered with 4xx or 5xx"
    NOT_OFFERED = "no STARTTLS in the EHLO reply"
    OFFERED = "STARTTLS in the EHLO reply"
    STARTTLS_REFUSED = "STARTTLS answered with 4xx or 5xx"
    INJECTED = "220 to STARTTLS with something behind it"
    HANDSHAKE_FAILED = "220 to STARTTLS, then no handshake"
    LOST_AFTER_TLS = "EHLO after the handshake refused or not answered"
    READY = "handshake complete, EHLO accepted"
    NOT_VERIFIED = "certificate looked at and not verified"
    VERIFIED = "certificate looked at and verified"
    NOT_MATCHED = "certificate compared with the TLSA records and not the one"
    MATCHED = "certificate compared with the TLSA records, which hold it"


class Verdict(Enum):
    """What comes next."""

    CLEAR = "mail in clear text on this connection"
    STARTTLS = "send STARTTLS"
    VERIFY = "look at the certificate"
    MATCH = "compare the certificate with the TLSA records"
    TLS = "mail in TLS"
    FAIL = "give the connection up"


_BEFORE_220 = {
    Step.EHLO_REFUSED: Reason.NO_ESMTP,
    Step.NOT_OFFERED: Reason.NOT_OFFERED,
    Step.STARTTLS_REFUSED: Reason.REFUSED,
}
_AFTER_220 = {
    Step.INJECTED: Reason.INJECTED,
    Step.HANDSHAKE_FAILED: Reason.HANDSHAKE,
    Step.LOST_AFTER_TLS: Reason.AFTER_TLS,
    Step.NOT_VERIFIED: Reason.VERIFY,
    Step.NOT_MATCHED: Reason.DANE,
}
REASONS = _BEFORE_220 | _AFTER_220
"""the reason of each step that can be one"""


@frozen
class TlsPolicy:
    """What a destination demands of its connections."""

    support: TlsSupport
    dane_state: DaneState = DaneState.OFF

    @property
    def wanted(self) -> bool:
        """STARTTLS is sent where it is offered."""
        return self.support is not TlsSupport.NO

    @property
    def mandatory(self) -> bool:
        """Nothing is sent in clear text, whatever the peer does."""
        return self.support.required or self.dane_state.demands_tls

    def decide(self, step: Step) -> Verdict:
        """What follows from a step."""
        if step in _BEFORE_220:
            return Verdict.FAIL if self.mandatory else Verdict.CLEAR
        match step:
            case Step.OFFERED:
                return Verdict.STARTTLS if self.wanted else Verdict.CLEAR
            case Step.READY if self.dane_state is DaneState.USABLE:
                return Verdict.MATCH
            case Step.READY:
                return Verdict.VERIFY if self.support.verifies else Verdict.TLS
            case Step.NOT_VERIFIED:
                return Verdict.FAIL if self.support.required else Verdict.TLS
            case Step.VERIFIED | Step.MATCHED:
                return Verdict.TLS
            case _:
                return Verdict.FAIL
