"""From an alert to its mails: recipients, duplicates, record, log lines (alertconfig.md 3 to 5).

Recipients and intervals are those of the live snapshot when a mail is made. Series live in memory and end at restart.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Coroutine
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from appliance_runtime.addresses import AddressMap
from appliance_runtime.alerts.mail import AlertMail, duplicates
from appliance_runtime.alerts.sending import InternalSmtp, NotSent
from appliance_runtime.alerts.series import DuplicateSeries, Summary
from appliance_runtime.alerts.store import AlertStore, StoredAlert
from appliance_runtime.clock import Clock
from appliance_runtime.logs.escaping import escape
from appliance_runtime.logs.writer import EventLog
from appliance_runtime.product import Product
from appliance_state.model.alerts import SEVERITIES
from appliance_state.model.config import Config

if TYPE_CHECKING:
    from appliance_runtime.dns.resolver import Resolver
    from appliance_runtime.snapshot import Snapshot

INFORMATION, INFO = SEVERITIES[2], "Info"
"""a severity in the configuration, and its word everywhere else"""
DANE = "dane.failed"
MAX_WAITING = 1000
"""mails that may wait to be sent"""
CLOSING = 5.0
"""seconds of real time that connections get at the end"""

Kind = tuple[str, str, str]
"""what duplicates have in common: alert id, severity, key"""


class Alerts:
    """Raises alerts. Everything happens in the event loop. `smtp` also sends other mail of the appliance itself."""

    def __init__(
        self,
        live: Callable[[], Snapshot],
        logs: EventLog,
        clock: Clock,
        resolver: Resolver,
        address_map: AddressMap,
        product: Product,
        store: Path | None = None,
        *,
        net_timeout_scale: float = 1.0,
        new_token: Callable[[], str] = lambda: secrets.token_hex(12),
    ) -> None:
        """`store`: file of the stored alerts; `new_token`: unique parts of Message-IDs. Errors: OSError."""
        self.smtp = InternalSmtp(live, logs, clock, resolver, address_map, net_timeout_scale=net_timeout_scale)
        self._live = live
        self._logs = logs
        self._clock = clock
        self._product = product
        self._store = AlertStore(store)
        self._new_token = new_token
        self._scale = net_timeout_scale
        self._series: dict[Kind, DuplicateSeries] = {}
        self._watches: set[asyncio.Task[None]] = set()
        self._sending: set[asyncio.Task[None]] = set()

    def raise_(self, alert_id: str, key: str, alert_class: str, severity: str, text: str) -> None:
        """Tell the subscribers of (class, severity). `text`: lines as in the catalogue; what is foreign in it is escaped here.

        Alerts with equal id, severity and key are duplicates. A key of its own (each alert once) keeps it out of that rule.
        """
        now = self._clock.now()
        text = "\n".join(escape(line) for line in text.split("\n"))
        severity = INFORMATION if severity == INFO else severity
        kind = (alert_id, severity, key)
        settings = self._live().config.alerts
        series = self._series.get(kind)
        if series is not None:
            series.repeat(now, text)
            return
        self._mail(kind, alert_class, text, None)
        if settings.initial_interval:
            self._series[kind] = DuplicateSeries.open(now, text, settings.initial_interval, settings.max_interval)
            _keep(self._watches, self._watch(kind, alert_class))

    def latest(self, count: int | None = None) -> list[StoredAlert]:
        """Stored alerts, newest first; None = all."""
        most = self._live().config.alerts.stored_max
        return self._store.latest(most if count is None else min(count, most))

    async def close(self) -> None:
        """Forget the series; mails on their way get a moment, those that wait for another attempt are given up."""
        for task in self._watches:
            task.cancel()
        if self._sending:
            await self.smtp.finish(CLOSING * self._scale)
            for task in self._sending:
                task.cancel()
        await asyncio.gather(*self._watches, *self._sending, return_exceptions=True)

    async def _watch(self, kind: Kind, alert_class: str) -> None:
        """Mail a summary at each due time of a series, until one passes without duplicates."""
        series = self._series[kind]
        while True:
            await self._clock.sleep_until(series.due)
            settings = self._live().config.alerts
            summary = series.fall_due(settings.initial_interval, settings.max_interval)
            if summary is not None:
                self._mail(kind, alert_class, summary.text, summary)
            if summary is None or not settings.initial_interval:
                del self._series[kind]
                return

    def _mail(self, kind: Kind, alert_class: str, text: str, summary: Summary | None) -> None:
        alert_id, severity, key = kind
        config = self._live().config
        recipients = _recipients(config, alert_id, alert_class, severity)
        word = INFO if severity == INFORMATION else severity
        now = self._clock.now()
        paragraph = duplicates(summary, config.system.timezone) if summary else ""
        self._store.add(
            StoredAlert(
                number=self._store.next_number,
                at=now,
                alert_id=alert_id,
                key=key,
                alert_class=alert_class,
                severity=word,
                text=f"{text}\n{paragraph}" if paragraph else text,
                recipients=recipients,
                suppressed=summary.count if summary else 0,
            ),
            config.alerts.stored_max,
        )
        if not recipients:
            self._logs.event("system.alert_unsent", alert=alert_id)
        mail = self._message(config, word, alert_class, text, paragraph, now)
        for recipient in recipients:
            if len(self._sending) >= MAX_WAITING:
                self._report_failure(mail, recipient)
            else:
                _keep(self._sending, self._send(mail, recipient))

    def _message(self, config: Config, severity: str, alert_class: str, text: str, paragraph: str, now: datetime) -> AlertMail:
        hostname = config.system.hostname
        return AlertMail(
            severity=severity,
            alert_class=alert_class,
            text=text,
            summary=paragraph,
            at=now.astimezone(ZoneInfo(config.system.timezone)),
            hostname=hostname,
            sender=config.alerts.from_address or f"alert@{hostname}",
            version=self._product.full_version,
            serial=self._product.serial,
        )

    async def _send(self, mail: AlertMail, recipient: str) -> None:
        try:
            await self.smtp.send(mail.envelope_sender, recipient, mail.subject, mail.to(recipient, self._new_token()))
        except NotSent:
            self._report_failure(mail, recipient)
        else:
            self._logs.event("alert.sent", address=recipient, subject=mail.subject, severity_class=f"{mail.alert_class}/{mail.severity}")

    def _report_failure(self, mail: AlertMail, recipient: str) -> None:
        self._logs.event("alert.failed", address=recipient, subject=mail.subject, severity_class=f"{mail.alert_class}/{mail.severity}")


def _recipients(config: Config, alert_id: str, alert_class: str, severity: str) -> tuple[str, ...]:
    """Every address once. The DANE alert also goes to those who subscribe to (System, Warning)."""
    wanted = [(alert_class, severity)] + ([("System", "Warning")] if alert_id == DANE else [])
    return tuple(r.address for r in config.alerts.recipients.sorted() if any(r.wants(c, s) for c, s in wanted))


def _keep(tasks: set[asyncio.Task[None]], work: Coroutine[None, None, None]) -> None:
    """Run `work`; a task that nobody refers to could be collected."""
    task = asyncio.get_running_loop().create_task(work)
    tasks.add(task)
    task.add_done_callback(tasks.discard)
