"""Who was logged in, and when (users-and-access.md 4): the last 100 logins and stops, kept over restarts.

Written whole at every change, without waiting for the disk: a crash may cost the last entry, nothing else.
"""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

from attrs import define, field

KEPT = 100
SHUTDOWN = "shutdown"
"""kind of the entry that an orderly stop leaves"""


@define(eq=False, kw_only=True)
class Login:
    """`ended` None: still open, or `crashed`. `last_input` counts for the idle time."""

    user: str
    kind: str
    remote: str
    began: datetime
    ended: datetime | None = None
    crashed: bool = False
    last_input: datetime


@define(eq=False)
class LoginHistory:
    """`entries` from old to new. `path` None: only in memory."""

    path: Path | None = None
    entries: list[Login] = field(factory=list)
    open: dict[int, Login] = field(factory=dict)
    """by number of the session"""

    def __attrs_post_init__(self) -> None:
        if self.path is not None and self.path.exists():
            self.entries = _stored(self.path.read_text())
            for entry in self.entries:
                entry.crashed = entry.ended is None

    def began(self, pid: int, *, user: str, kind: str, remote: str, at: datetime) -> Login | None:
        """Note a login; the one before it of the same user, web logins apart."""
        previous = next((entry for entry in reversed(self.entries) if entry.user == user and entry.kind not in ("gui", SHUTDOWN)), None)
        self.open[pid] = Login(user=user, kind=kind, remote=remote, began=at, last_input=at)
        self._add(self.open[pid])
        return previous

    def ended(self, pid: int, at: datetime) -> None:
        """Note a logout."""
        if login := self.open.pop(pid, None):
            login.ended = at
            self._save()

    def stopped(self, at: datetime) -> None:
        """Note an orderly stop of the appliance."""
        self._add(Login(user=SHUTDOWN, kind=SHUTDOWN, remote="", began=at, ended=at, last_input=at))

    def _add(self, entry: Login) -> None:
        self.entries.append(entry)
        del self.entries[:-KEPT]
        self._save()

    def _save(self) -> None:
        if self.path is None:
            return
        rows = [_row(entry) for entry in self.entries]
        temporary = self.path.with_name(f".{self.path.name}.new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(rows, file)
        temporary.replace(self.path)


def _stored(text: str) -> list[Login]:
    try:
        return [_login(row) for row in json.loads(text)]
    except ValueError:  # cut off by a loss of power
        return []


def _row(entry: Login) -> dict[str, Any]:
    return {
        "user": entry.user,
        "kind": entry.kind,
        "remote": entry.remote,
        "began": entry.began.isoformat(),
        "ended": entry.ended and entry.ended.isoformat(),
    }


def _login(row: dict[str, Any]) -> Login:
    began = datetime.fromisoformat(row["began"])
    return Login(
        user=row["user"],
        kind=row["kind"],
        remote=row["remote"],
        began=began,
        ended=row["ended"] and datetime.fromisoformat(row["ended"]),
        last_input=began,
    )
