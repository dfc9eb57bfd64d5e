"""The login history: previous logins, restarts, crashes (users-and-access.md 4)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from appliance_runtime.login_history import KEPT, LoginHistory

NOW = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)


def begin(history: LoginHistory, pid: int, *, user: str = "admin", kind: str = "cli", at: datetime = NOW) -> str | None:
    previous = history.began(pid, user=user, kind=kind, remote=f"192.0.2.{pid}", at=at)
    return previous and previous.remote


def test_the_previous_login_is_the_last_one_of_the_same_user_that_was_no_web_login() -> None:
    history = LoginHistory()
    assert begin(history, 1) is None
    assert begin(history, 2, user="bob") is None
    assert begin(history, 3, kind="gui") == "192.0.2.1"
    assert begin(history, 4, kind="exec") == "192.0.2.1"
    assert begin(history, 5) == "192.0.2.4"


def test_it_outlives_a_restart_and_knows_what_a_crash_cut(tmp_path: Path) -> None:
    path = tmp_path / "logins.json"
    history = LoginHistory(path)
    begin(history, 1)
    begin(history, 2)
    history.ended(1, NOW + timedelta(minutes=1))
    history.stopped(NOW + timedelta(minutes=2))
    after = LoginHistory(path)
    assert [(entry.kind, entry.crashed) for entry in after.entries] == [("cli", False), ("cli", True), ("shutdown", False)]
    assert after.entries[0].ended == NOW + timedelta(minutes=1)
    assert after.open == {}
    assert begin(after, 1) == "192.0.2.2"
    assert path.stat().st_mode & 0o777 == 0o600


def test_it_keeps_100_entries() -> None:
    history = LoginHistory()
    for number in range(KEPT + 20):
        begin(history, number)
        history.ended(number, NOW)
    assert len(history.entries) == KEPT
    assert history.entries[0].remote == "192.0.2.20"


def test_a_file_that_was_cut_off_is_an_empty_history(tmp_path: Path) -> None:
    path = tmp_path / "logins.json"
    path.write_text('[{"user": "ad')
    assert LoginHistory(path).entries == []
