"""logs, log_globals: log subscriptions (model.md 3.15)."""

from __future__ import annotations

from typing import ClassVar

from attrs import frozen

from appliance_state.model.fields import Choice, number, text
from appliance_state.table import Table


class LogType(Choice):
    MAIL = "mail", "IronPort Text Mail Logs"
    BOUNCES = "bounces", "Bounce Logs"
    CLI = "cli", "CLI Audit Logs"
    SYSTEM = "system", "System Logs"
    AUTHENTICATION = "authentication", "Authentication Logs"
    GUI = "gui", "HTTP Logs"


@frozen(kw_only=True)
class LogSubscription:
    KEY: ClassVar[str] = "name"

    name: str = text(r"[A-Za-z0-9._-]{1,32}")
    uid: str = ""
    type: LogType = LogType.MAIL
    level: int = number(1, 5, default=3)
    """1 Critical, 2 Warning, 3 Information, 4 Debug, 5 Trace"""
    filename: str = ""
    rollover_size: int = number(102400, 104857600, default=10485760)
    """bytes"""
    rollover_max_files: int = number(1, 100, default=10)


FACTORY_LOGS: Table[LogSubscription] = Table(
    LogSubscription(name=name, uid=f"log-{n}", type=kind, level=level, filename=filename)
    for n, (name, kind, filename, level) in enumerate(
        (
            ("authentication", LogType.AUTHENTICATION, "authentication", 3),
            ("bounces", LogType.BOUNCES, "bounces.text", 3),
            ("cli_logs", LogType.CLI, "cli", 3),
            ("error_logs", LogType.MAIL, "errors", 1),
            ("gui_logs", LogType.GUI, "gui", 3),
            ("mail_logs", LogType.MAIL, "mail", 3),
            ("system_logs", LogType.SYSTEM, "system", 3),
        ),
        start=1,
    )
)


@frozen(kw_only=True)
class LogGlobals:
    message_id: bool = True
    subject: bool = True
    remote_response: bool = True
    headers: frozenset[str] = frozenset()
