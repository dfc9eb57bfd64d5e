"""Open sessions: who is in, since when, with which pending copy."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from attrs import define, field

from appliance_state.draft import Draft

if TYPE_CHECKING:
    from appliance_runtime.appliance import Appliance

MAX_SESSIONS = 50


class TooManySessions(Exception):
    """The limit of open sessions is reached."""


@define(eq=False)
class Session:
    """One SSH shell, exec request, local terminal, script, or web login.

    `kind`: cli, exec, script or gui. `remote`: client address, or "console". `interface`: name of the interface through
    which it came in, None for local ones. `closing`: set by `exit` and by the appliance to end it.
    """

    pid: int
    appliance: Appliance
    draft: Draft
    user: str
    kind: str
    remote: str
    started: datetime
    interface: str | None = None
    interface_service: str | None = None
    closing: bool = False
    on_close: Callable[[str], None] | None = None
    """called with a text to show when the appliance ends the session"""


@define
class SessionTable:
    """All open sessions by number."""

    open: dict[int, Session] = field(factory=dict)
    numbers: itertools.count[int] = field(factory=lambda: itertools.count(1))

    def add(self, make: Callable[[int], Session]) -> Session:
        """Open a session. Errors: TooManySessions."""
        if len(self.open) >= MAX_SESSIONS:
            raise TooManySessions
        session = make(next(self.numbers))
        self.open[session.pid] = session
        return session

    def remove(self, session: Session) -> None:
        self.open.pop(session.pid, None)
        session.draft.discard()
