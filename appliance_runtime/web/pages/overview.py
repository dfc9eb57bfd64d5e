"""Monitor > Overview: the appliance at a glance (web-ui.md 12).

Which certificate serves which service until when, the open sockets, the queue, the last alerts, and the values of
`status detail`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from attrs import frozen
from starlette.responses import Response

from appliance_runtime.clock import long_date
from appliance_runtime.services import SERVICE_LABELS
from appliance_runtime.web.figures import age, collect, span
from appliance_runtime.web.hosts import host_and_port
from appliance_runtime.web.pages.system_status import view
from appliance_runtime.web.visit import Visit
from appliance_state.certificates.facts import EXPIRED, FUTURE, CertificateFacts, read_facts
from appliance_state.certificates.profile_names import is_demo
from appliance_state.certificates.usage import Reference, references

NOT_SECURE = "Demo (not secure)"
SOON = 30
"""days before its end from which on a certificate is marked"""
SHOWN_DESTINATIONS = 50
SHOWN_ALERTS = 10


@frozen
class Card:
    label: str
    value: str


@frozen
class Row:
    name: str
    cells: tuple[str | tuple[str, ...], ...]
    mark: str = ""
    """class of the row: attention or expired"""


TITLES = {"receiving": "Receiving", "https": "HTTPS", "delivery": "Delivery", "ldaps": "LDAPS"}


def certificate_row(reference: Reference, facts: CertificateFacts, now: datetime, timezone: str) -> Row:
    """One line of the table Certificates in Use."""
    user = _user(reference)
    status, days = facts.status(now), facts.days_remaining(now)
    demo = is_demo(reference.certificate)
    mark = "expired" if status == EXPIRED else "attention" if demo or status == FUTURE or days <= SOON else ""
    name = NOT_SECURE if demo else reference.certificate
    return Row(
        user, (user, name, facts.common_name, facts.issued_by, status, facts.remaining(now), long_date(facts.not_after, timezone)), mark
    )


def _user(reference: Reference) -> str:
    return TITLES[reference.service] + (f": {reference.name}" if reference.name else "")


def _certificates(visit: Visit, now: datetime) -> Iterator[Row]:
    config = visit.config
    for reference in references(config):
        if is_demo(reference.certificate):
            pem = visit.appliance.demo.certificate
        elif reference.certificate in config.certificates:
            pem = config.certificates[reference.certificate].material.certificate
        else:
            user = _user(reference)
            yield Row(user, (user, f"{reference.certificate} (missing)", "-", "-", "-", "-", "-"), "expired")
            continue
        yield certificate_row(reference, read_facts(pem), now, config.system.timezone)


def _sockets(visit: Visit) -> Iterator[Row]:
    for endpoint, (address, port) in visit.appliance.sockets:
        logical, real = host_and_port(endpoint.address, endpoint.port), host_and_port(address, port)
        service = SERVICE_LABELS.get(endpoint.service, endpoint.service.upper())
        yield Row(f"{service} {endpoint.owner}", (service, endpoint.owner, logical, real))


async def page(visit: Visit) -> Response:
    """`/monitor/overview`."""
    timezone = visit.config.system.timezone
    figures = await collect(visit.appliance, visit.site.load)
    cards = (
        Card("System status", figures.system_status),
        Card("Up time", span(figures.up_time)),
        Card("Messages in the queue", f"{figures.messages:,}"),
        Card("Oldest message", age(figures.oldest.age) if figures.oldest else "No Messages"),
        Card("Inbound connections", f"{figures.gauges['conn_in']:,}"),
        Card("Outbound connections", f"{figures.gauges['conn_out']:,}"),
    )
    queue = [Row(domain, (domain, f"{active:,}", f"{attempted:,}")) for domain, active, attempted in figures.destinations]
    alerts = [
        Row(alert.alert_id, (long_date(alert.at, timezone), alert.severity, tuple(alert.text.splitlines())))
        for alert in visit.appliance.alerts.latest(SHOWN_ALERTS)
    ]
    return visit.page(
        "overview.html",
        "Overview",
        cards=cards,
        certificates=list(_certificates(visit, figures.now)),
        sockets=list(_sockets(visit)),
        queue=queue[:SHOWN_DESTINATIONS],
        hidden_destinations=max(0, len(queue) - SHOWN_DESTINATIONS),
        alerts=alerts,
        view=view(figures, timezone),
    )
