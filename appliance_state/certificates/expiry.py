"""When the end of a certificate is announced, and in which words (certconfig.md 7). Pure.

N = calendar date of its end minus today, in the time zone of the appliance. A threshold has passed when N is not above
it. Of several passed ones only the latest is announced, once for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from attrs import frozen

from appliance_state.certificates.facts import read_facts
from appliance_state.certificates.pem import NotReadable, read_certificate
from appliance_state.certificates.usage import references_to
from appliance_state.model import Config

THRESHOLDS = (90, 60, 30, 15, 5, 4, 3, 2, 1, 0, -1)
CHECK_AT = time(0, 10)
PROFILE, AUTHORITY = "cert.expiry", "ca.expiry"
"""alert ids"""
WARNING, CRITICAL = "Warning", "Critical"


@frozen(kw_only=True)
class Announcement:
    """`threshold`: the one that has passed; `sha256`: hexadecimal with colons."""

    alert: str
    sha256: str
    threshold: int
    severity: str
    text: str

    @property
    def pair(self) -> str:
        """What is announced once only."""
        return f"{self.alert} {self.sha256} {self.threshold}"


def announcements(config: Config, now: datetime, date: Callable[[datetime], str]) -> Iterator[Announcement]:
    """What is due for every own profile in use and every custom authority, announced before or not. `date` formats a time."""
    for profile in config.certificates.sorted():
        if references_to(config, profile.name):
            yield from _announcement(PROFILE, f'The certificate "{profile.name}"', profile.material.certificate, config, now, date)
    for pem in config.certificate_authorities.custom_list:
        name = f'The custom certificate authority "{read_facts(pem).subject}"'
        yield from _announcement(AUTHORITY, name, pem, config, now, date)


def _announcement(
    alert: str, name: str, pem: str, config: Config, now: datetime, date: Callable[[datetime], str]
) -> Iterator[Announcement]:
    try:
        read_certificate(pem)
    except NotReadable:
        return
    facts = read_facts(pem)
    days = days_left(facts.not_after, now, config.system.timezone)
    passed = [threshold for threshold in THRESHOLDS if days <= threshold]
    if not passed:
        return
    if days > 0:
        severity, end = WARNING, f"will expire in {days} days"
    elif days == 0:
        severity, end = CRITICAL, "expires today"
    else:
        severity, end = CRITICAL, f"expired on {date(facts.not_after)}"
    yield Announcement(alert=alert, sha256=facts.sha256, threshold=passed[-1], severity=severity, text=f"{name} {end}.")


def days_left(end: datetime, now: datetime, timezone: str) -> int:
    """Calendar days; negative after the day of the end."""
    zone = ZoneInfo(timezone)
    return (end.astimezone(zone).date() - now.astimezone(zone).date()).days


def next_check(now: datetime, timezone: str) -> datetime:
    """The next 00:10 of the appliance."""
    zone = ZoneInfo(timezone)
    day = now.astimezone(zone).date()
    while (moment := datetime.combine(day, CHECK_AT, zone).astimezone(now.tzinfo)) <= now:
        day += timedelta(days=1)
    return moment
