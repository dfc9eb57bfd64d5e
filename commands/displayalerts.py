"""displayalerts: the alerts that are kept, newest first (alertconfig.md 6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from appliance_runtime.logs.escaping import escape
from appliance_runtime.sessions import Session
from appliance_state.model.alerts import Alerts
from appliance_state.model.fields import bounds
from commands.answers import integer
from commands.arguments import Arguments
from commands.dialog import Conversation
from commands.registry import Command

if TYPE_CHECKING:
    from appliance_runtime.alerts.store import StoredAlert

DATE_WIDTH = 28
RULE = "-" * 80
NONE = "There are no alerts to display."
MOST = bounds(Alerts, "stored_max")[1]


def alerts_text(alerts: Sequence[StoredAlert], timezone: str) -> str:
    """The table. Further lines of a text stand below its first one; empty ones are left out."""
    rows = []
    for alert in alerts:
        date = alert.at.astimezone(ZoneInfo(timezone)).strftime("%d %b %Y %H:%M:%S %z")
        lines = [escape(line) for line in alert.text.splitlines() if line.strip()]
        rows += [f"{label:<{DATE_WIDTH}}{line}" for label, line in zip([date, *[""] * len(lines)], lines, strict=False)]
    return "\n".join([f"{'Date and Time Stamp':<{DATE_WIDTH}}Description", RULE, *rows]) if rows else NONE


async def _show(talk: Conversation, session: Session, count: int) -> None:
    appliance = session.appliance
    talk.show(alerts_text(appliance.alerts.latest(count), appliance.running()[1].system.timezone))


async def displayalerts(talk: Conversation, session: Session) -> None:
    await _show(talk, session, MOST)


async def _batch(talk: Conversation, session: Session, args: Arguments) -> None:
    count = integer(1, MOST)(args.word("n"))
    args.end()
    await _show(talk, session, count)


COMMAND = Command("displayalerts", "Display alerts.", dialog=displayalerts, batch=_batch, usage="displayalerts <n>")
