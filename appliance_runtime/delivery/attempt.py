"""One attempt: a pass over the hosts of a domain, shared by all connections that are opened in it (delivery.md 1, 9).

An address that failed is not contacted again in the same attempt. What failed, in order, gives the reason for the queue
and decides about the alert, host by host: of a host that failed in several ways its last reason of TLS or DANE counts.
"""

from __future__ import annotations

from datetime import datetime

from attrs import define, field, frozen

from appliance_runtime.delivery.connection import Unusable
from appliance_runtime.delivery.dane import MANDATORY_SKIPPED
from appliance_runtime.delivery.exchangers import Candidate, HostProblem, Skipped
from appliance_runtime.delivery.failures import Failure
from appliance_runtime.delivery.tls_policy import Reason
from appliance_runtime.snapshot import Snapshot
from appliance_state.model.destinations import DaneSupport, Destination
from appliance_state.model.routes import SmtpRoute

MANDATORY_TLS_TEXT = "Unable to deliver to the domain {domain}: a TLS connection is required but could not be established. {reason}"
DANE_TEXT = "DANE verification failed for all MX hosts of the domain {domain}."


@frozen(kw_only=True)
class Trouble:
    """A host that did not serve. `dcid` 0 = no connection was made.

    `host`: empty when it is not known which; `alert`, `dane_alert`: what the alerts about required TLS and about DANE say
    of it, empty unless it failed for that.
    """

    failure: Failure
    dcid: int = 0
    host: str = ""
    address: str = ""
    port: int = 0
    alert: str = ""
    dane_alert: str = ""

    @classmethod
    def of(cls, unusable: Unusable, candidate: Candidate, dcid: int) -> Trouble:
        status = "4.7.5" if unusable.reason else "4.4.0"
        return cls(
            failure=Failure.own(status, unusable.text, remote=candidate.address),
            dcid=dcid,
            host=candidate.host.name,
            address=candidate.address,
            port=candidate.host.port,
            alert=unusable.alert if unusable.reason else "",
            dane_alert=unusable.reason.dane_alert if unusable.reason and candidate.dane.state.demands_tls else "",
        )

    @classmethod
    def skipped(cls, skipped: Skipped) -> Trouble:
        failure = Failure.own("4.7.5", Reason.DANE.text(skipped.text))
        return cls(failure=failure, host=skipped.host.name, address=skipped.address, alert=MANDATORY_SKIPPED, dane_alert=skipped.alert)

    @classmethod
    def without_address(cls, problem: HostProblem) -> Trouble:
        return cls(failure=Failure.own("4.4.3", problem.text), host=problem.name)


@frozen(kw_only=True)
class Alarm:
    """An alert that is due: its id, class and text (logs-and-alerts.md 7.2)."""

    id: str
    alert_class: str
    text: str


@define(eq=False)
class Attempt:
    """`started`: what is due later belongs to the next attempt. `served`: a connection was ready for mail."""

    started: datetime
    snapshot: Snapshot
    settings: Destination
    route: SmtpRoute | None
    troubles: list[Trouble] = field(factory=list)
    served: bool = False
    without_dane: set[str] = field(factory=set)
    """hosts of which the log says already that DANE is done without"""

    @property
    def dane(self) -> DaneSupport:
        return self.settings.dane_support or DaneSupport.NO

    def failed_at(self, candidate: Candidate) -> bool:
        """Whether the address has failed. Only records of its own may lead another host there: never to clear text."""
        return any(
            (trouble.address, trouble.port) == candidate.place
            and (trouble.host == candidate.host.name or not candidate.dane.state.demands_tls)
            for trouble in self.troubles
            if trouble.dcid
        )

    def has_skipped(self, host: str) -> bool:
        return any(trouble.host == host and trouble.dane_alert and not trouble.dcid for trouble in self.troubles)

    @property
    def verdict(self) -> tuple[Failure, int]:
        """Why nothing could be delivered, and the DCID of the last connection. A TLS reason counts more than another one."""
        last = next((one for one in reversed(self.troubles) if one.alert), self.troubles[-1])
        return last.failure, max(trouble.dcid for trouble in self.troubles)

    def alarm(self, domain: str) -> Alarm | None:
        """The alert about DANE, or about required TLS; None = none is due."""
        if self.served or not self.troubles:
            return None
        by_host: dict[str, Trouble] = {}
        for trouble in self.troubles:
            if trouble.alert or trouble.host not in by_host:
                by_host[trouble.host] = trouble
        hosts = list(by_host.values())
        if self.dane is not DaneSupport.NO and all(trouble.dane_alert for trouble in hosts):
            lines = [DANE_TEXT.format(domain=domain), *(f"{trouble.host}: {trouble.dane_alert}" for trouble in hosts)]
            return Alarm(id="dane.failed", alert_class="Message Delivery", text="\n".join(lines))
        required = self.settings.tls_support is not None and self.settings.tls_support.required
        if required and self.snapshot.config.destination_globals.tls_alert and all(trouble.alert for trouble in hosts):
            last = hosts[-1]
            text = MANDATORY_TLS_TEXT.format(domain=domain, reason=last.alert)
            return Alarm(id="tls.required", alert_class="System", text=f"{text} (MX {last.host}, IP {last.address})")
        return None
