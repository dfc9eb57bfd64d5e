"""One session from login to logout: its place in the table, its greeting, its lines in the logs (conventions.md 2, 15)."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from attrs import frozen

from appliance_runtime.clock import short_date
from appliance_runtime.login_history import Login
from appliance_runtime.sessions import Session, TooManySessions
from appliance_state.certificates.banners import demo_warning
from asyncos_shell.shell import Shell, ShellTerminal
from commands.registry import Registry

if TYPE_CHECKING:
    from appliance_runtime.appliance import Appliance

TOO_MANY = "Too many sessions are open. Try again later."
CONSOLE = "console"
LOCAL_USER = "admin"
"""who may open the state directory is this user"""


@frozen(kw_only=True)
class Entrance:
    """How an operator came in. `kind`: cli, exec or script. `line`: the one line to run; None = a shell."""

    user: str
    kind: str
    remote: str = CONSOLE
    interface: str | None = None
    service: str | None = None
    line: str | None = None
    greets: bool = False
    comments: bool = False

    @property
    def title(self) -> str:
        """For cli_logs."""
        return "SSH session" if self.service == "ssh" else "local session"


def local_entrance(*, keyboard: bool, line: str | None) -> Entrance:
    """A session at the machine itself: a terminal, a script, or one line."""
    return Entrance(user=LOCAL_USER, kind="cli" if keyboard else "script", line=line, greets=keyboard, comments=not keyboard)


def greeting(session: Session, previous: Login | None) -> str:
    """What a shell prints before its first prompt."""
    product = session.appliance.product
    config = session.appliance.running()[1]
    last = ""
    if previous is not None:
        last = f"Last login: {short_date(previous.began, config.system.timezone)} from {previous.remote}\n"
    warning = demo_warning(config)
    return (
        f"{last}AsyncOS {product.version} for Cisco {product.model} build {product.build}\n"
        "\n"
        f"Welcome to the Cisco {product.model} {product.kind}\n"
        "\n"
        f"NOTE: This session will expire if left idle for {config.admin_access.cli_timeout} minutes. Any uncommitted\n"
        "configuration changes will be lost. Commit the configuration changes as soon as\n"
        "they are made.\n"
        "\n" + (f"{warning}\n\n" if warning else "")
    )


async def serve_session(appliance: Appliance, registry: Registry, terminal: ShellTerminal, entrance: Entrance) -> int:
    """Run a session; its exit status. Whatever happens, nothing of it is left."""
    try:
        session = appliance.open_session(
            user=entrance.user,
            kind=entrance.kind,
            remote=entrance.remote,
            interface=entrance.interface,
            service=entrance.service,
        )
    except TooManySessions:
        terminal.write(f"{TOO_MANY}\n")
        await terminal.drained()
        return 1
    idle: asyncio.Task[None] | None = None
    who = {"pid": session.pid, "user": session.user, "remote": session.remote}
    logins, now = appliance.accounts.logins, appliance.clock.now
    try:
        previous = logins.began(session.pid, user=session.user, kind=session.kind, remote=session.remote, at=session.started)
        terminal.on_input = lambda: _note_input(logins.open[session.pid], now())
        if entrance.service is None:
            _log_console_login(appliance)
        appliance.logs.event("cli.login", session=entrance.title, **who)
        if entrance.line is None:
            idle = asyncio.create_task(_end_when_idle(session, logins.open[session.pid]))
        shell = Shell(session, terminal, registry, line=entrance.line, comments=entrance.comments)
        return await shell.run(greeting(session, previous) if entrance.greets else "")
    finally:
        if idle:
            idle.cancel()
        terminal.on_input = None
        appliance.close_session(session)
        logins.ended(session.pid, now())
        appliance.logs.event("cli.logout", **who)


def _log_console_login(appliance: Appliance) -> None:
    if (account := appliance.accounts.find(LOCAL_USER)) is not None:
        appliance.accounts.logged_on(account, remote=CONSOLE, protocol=CONSOLE)


def _note_input(login: Login, now: datetime) -> None:
    login.last_input = now


async def _end_when_idle(session: Session, login: Login) -> None:
    """Until nothing has been typed for the time that the running configuration allows; also while a command runs."""
    clock = session.appliance.clock
    while True:
        minutes = session.appliance.running()[1].admin_access.cli_timeout
        end = login.last_input + timedelta(minutes=minutes)
        if clock.now() >= end:
            break
        await clock.sleep_until(end)
    if session.on_close:
        session.on_close(f"Your session has timed out after {minutes} minutes of inactivity.")
