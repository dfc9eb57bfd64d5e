"""One attempt: a pass over the hosts of a domain, shared by all connections that are opened in it (delivery.md 1, 9).

An address that failed is not contacted again in the same attempt. What failed, in order, gives the reason for the queue
and decides about the alert.
"""

from __future__ import annotations

from datetime import datetime

from attrs import define, field, frozen

from appliance_runtime.delivery.connection import Unusable
from appliance_runtime.delivery.exchangers import Candidate
from appliance_runtime.delivery.failures import Failure
from appliance_runtime.snapshot import Snapshot
from appliance_state.model.destinations import Destination
from appliance_state.model.routes import SmtpRoute

MANDATORY_TLS_TEXT = "Unable to deliver to the domain {domain}: a TLS connection is required but could not be established. {reason}"


@frozen(kw_only=True)
class Trouble:
    """A host that did not serve. `dcid` 0 = no connection was made; `alert`: text of the alert, empty unless it failed for TLS."""

    failure: Failure
    dcid: int = 0
    candidate: Candidate | None = None
    alert: str = ""

    @classmethod
    def of(cls, unusable: Unusable, candidate: Candidate, dcid: int) -> Trouble:
        status = "4.7.5" if unusable.reason else "4.4.0"
        failure = Failure.own(status, unusable.text, remote=candidate.address)
        return cls(failure=failure, dcid=dcid, candidate=candidate, alert=unusable.alert if unusable.reason else "")


@define(eq=False)
class Attempt:
    """`started`: what is due later belongs to the next attempt. `served`: a connection was ready for mail."""

    started: datetime
    snapshot: Snapshot
    settings: Destination
    route: SmtpRoute | None
    troubles: list[Trouble] = field(factory=list)
    served: bool = False

    def failed_at(self, candidate: Candidate) -> bool:
        return any(trouble.candidate is not None and trouble.candidate.place == candidate.place for trouble in self.troubles)

    @property
    def verdict(self) -> tuple[Failure, int]:
        """Why nothing could be delivered, and the DCID of the last connection. A TLS reason counts more than another one."""
        last = next((one for one in reversed(self.troubles) if one.alert), self.troubles[-1])
        return last.failure, max(trouble.dcid for trouble in self.troubles)

    def alert(self, domain: str) -> str | None:
        """Text of the alert about required TLS; None = none is due."""
        required = self.settings.tls_support is not None and self.settings.tls_support.required
        if not required or not self.snapshot.config.destination_globals.tls_alert or self.served:
            return None
        if not self.troubles or not all(trouble.alert for trouble in self.troubles):
            return None
        last = self.troubles[-1]
        assert last.candidate is not None
        where = f"(MX {last.candidate.host.name}, IP {last.candidate.address})"
        return f"{MANDATORY_TLS_TEXT.format(domain=domain, reason=last.alert)} {where}"
