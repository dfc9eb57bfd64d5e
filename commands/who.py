"""who, whoami, last: open sessions, the own account, the login history (users-and-access.md 4)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from appliance_runtime.login_history import SHUTDOWN, Login
from appliance_runtime.sessions import Session
from appliance_state.model.users import Role
from commands.dialog import Conversation
from commands.registry import Command

GROUPS = {
    Role.ADMIN: "admin, operators, config, log, guest",
    Role.OPERATOR: "operators, config, log, guest",
    Role.TECHNICIAN: "technicians, guest",
    Role.READONLY: "readonly, log, guest",
    Role.HELPDESK: "helpdesk, guest",
    Role.GUEST: "guest",
}
WHAT = {"cli": "cli", "script": "cli", "exec": "exec", "gui": "gui"}
WHO_HEADINGS = ("Username", "Login Time", "Idle Time", "Remote Host", "What")
LAST_HEADINGS = ("Username", "Remote Host", "Login Time", "Logout Time", "Total Time")


def columns(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table: columns as wide as their widest value, two blanks between, no trailing blanks."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    lines = [headings, ["=" * width for width in widths], *rows]
    return "\n".join("  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines)


def duration(span: timedelta) -> str:
    """`45s`, `15m`, `3h 12m`, `2d 4h`."""
    seconds = max(0, int(span.total_seconds()))
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if not minutes:
        return f"{seconds}s"
    if not hours:
        return f"{minutes}m"
    return f"{hours}h {minutes % 60}m" if not days else f"{days}d {hours % 24}h"


def _zone(session: Session) -> ZoneInfo:
    return ZoneInfo(session.appliance.running()[1].system.timezone)


async def who(talk: Conversation, session: Session) -> None:
    appliance, zone = session.appliance, _zone(session)
    now = appliance.clock.now()
    rows = []
    for other in sorted(appliance.sessions.open.values(), key=lambda entry: entry.pid):
        login = appliance.accounts.logins.open.get(other.pid)
        idle = duration(now - (login.last_input if login else other.started))
        rows.append((other.user, other.started.astimezone(zone).strftime("%I:%M%p"), idle, other.remote, WHAT[other.kind]))
    talk.show(columns(WHO_HEADINGS, rows))


async def whoami(talk: Conversation, session: Session) -> None:
    account = session.appliance.running()[1].users[session.user]
    talk.show(f"Username: {account.name}\nFull Name: {account.full_name}\nGroups: {GROUPS[account.role]}")


def _last_row(entry: Login, now: datetime, zone: ZoneInfo) -> tuple[str, ...]:
    def text(moment: datetime) -> str:
        return moment.astimezone(zone).strftime("%a %b %d %H:%M")

    if entry.kind == SHUTDOWN:
        return entry.user, "", "", text(entry.began), ""
    if entry.crashed:
        return entry.user, entry.remote, text(entry.began), "crashed", ""
    ended = "still logged in" if entry.ended is None else text(entry.ended)
    return entry.user, entry.remote, text(entry.began), ended, duration((entry.ended or now) - entry.began)


async def last(talk: Conversation, session: Session) -> None:
    now, zone = session.appliance.clock.now(), _zone(session)
    entries = reversed(session.appliance.accounts.logins.entries)
    talk.show(columns(LAST_HEADINGS, (_last_row(entry, now, zone) for entry in entries)))


WHO = Command("who", "List who is logged in.", dialog=who)
WHOAMI = Command("whoami", "Display the current user.", dialog=whoami)
LAST = Command("last", "Display the login history.", dialog=last)

COMMANDS = [WHO, WHOAMI, LAST]
