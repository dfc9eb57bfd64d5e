"""Web sessions: cookie, CSRF key and idle limit (web-ui.md 2).

One web session is one session of the appliance with its own pending copy. It ends at logout, when it was idle for
`admin_access.gui_timeout` minutes of the appliance clock, when the appliance ends it, or, beyond MAX_WEB_SESSIONS, when
it is the one that was idle longest. The cookie value never leaves this module except in the cookie itself.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from attrs import define, field

from appliance_runtime.sessions import Session

if TYPE_CHECKING:
    from appliance_runtime.appliance import Appliance

MAX_WEB_SESSIONS = 32


def new_key() -> str:
    """32 characters, 128 random bits."""
    return secrets.token_hex(16)


@define(eq=False)
class WebSession:
    session: Session
    used: datetime
    cookie: str = field(factory=new_key, repr=False)
    key: str = field(factory=new_key, repr=False)
    """CSRF key"""
    warnings: list[str] = field(factory=list)
    """shown once, on the next page"""

    @property
    def log_id(self) -> str:
        """Names the session in gui_logs without telling its cookie."""
        return hashlib.sha256(self.cookie.encode()).hexdigest()[:20]

    def owns(self, key: str | None) -> bool:
        """Whether `key` is the CSRF key of this session."""
        return key is not None and secrets.compare_digest(self.key.encode(), key.encode("utf-8", "surrogatepass"))


@define(eq=False)
class WebSessions:
    """The open web sessions by cookie."""

    appliance: Appliance
    _open: dict[str, WebSession] = field(factory=dict)
    _sweeper: asyncio.Task[None] | None = field(default=None)

    def open(self, user: str, remote: str, interface: str | None, service: str) -> WebSession:
        """Begin a session. Errors: TooManySessions."""
        self._sweep()
        while len(self._open) >= MAX_WEB_SESSIONS:
            self.end(min(self._open.values(), key=lambda web: web.used))
        session = self.appliance.open_session(user=user, kind="gui", remote=remote, interface=interface, service=service)
        now = self.appliance.clock.now()
        self.appliance.accounts.logins.began(session.pid, user=user, kind=session.kind, remote=remote, at=now)
        web = WebSession(session=session, used=now)
        self._open[web.cookie] = web
        if self._sweeper is None or self._sweeper.done():
            self._sweeper = asyncio.create_task(self._end_idle())
        return web

    def find(self, cookie: str | None) -> WebSession | None:
        """The live session of a cookie; finding it makes it fresh."""
        self._sweep()
        web = self._open.get(cookie or "")
        if web is not None:
            web.used = self.appliance.clock.now()
            if login := self.appliance.accounts.logins.open.get(web.session.pid):
                login.last_input = web.used
        return web

    def end(self, web: WebSession) -> None:
        """End a session with its pending changes."""
        if self._open.pop(web.cookie, None) is not None:
            self.appliance.accounts.logins.ended(web.session.pid, self.appliance.clock.now())
            self.appliance.close_session(web.session)

    def end_all(self) -> None:
        for web in list(self._open.values()):
            self.end(web)
        if self._sweeper:
            self._sweeper.cancel()

    @property
    def _limit(self) -> timedelta:
        return timedelta(minutes=self.appliance.live().config.admin_access.gui_timeout)

    def _sweep(self) -> None:
        oldest = self.appliance.clock.now() - self._limit
        users = self.appliance.live().config.users
        for web in list(self._open.values()):
            user = users.get(web.session.user)
            if web.used <= oldest or web.session.closing or user is None or not user.enabled:
                self.end(web)

    async def _end_idle(self) -> None:
        while self._open:
            await self.appliance.clock.sleep_until(min(web.used for web in self._open.values()) + self._limit)
            self._sweep()
