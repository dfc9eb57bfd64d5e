"""who, whoami, last: tables and durations (users-and-access.md 4)."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from commands import who
from tests.support.edge import make_edge
from tests.support.terminal import run_dialog


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (45, "45s"),
        (59, "59s"),
        (60, "1m"),
        (15 * 60 + 59, "15m"),
        (3600, "1h 0m"),
        (3 * 3600 + 12 * 60, "3h 12m"),
        (24 * 3600, "1d 0h"),
        (52 * 3600 + 1800, "2d 4h"),
        (-1, "0s"),
    ],
)
def test_duration(seconds: int, text: str) -> None:
    assert who.duration(timedelta(seconds=seconds)) == text


async def test_who_lists_sessions_from_old_to_new(tmp_path: Path) -> None:
    appliance = make_edge(tmp_path)
    appliance.config = appliance.config.with_(system=type(appliance.config.system)(timezone="Asia/Tokyo"))
    first = appliance.open_session(user="admin", kind="cli", remote="10.1.3.201")
    appliance.accounts.logins.began(first.pid, user="admin", kind="cli", remote="10.1.3.201", at=first.started)
    await appliance.clock.advance(3600)
    appliance.open_session(user="bob", kind="gui", remote="10.1.3.9")
    script = appliance.open_session(user="admin", kind="script", remote="console")
    assert await run_dialog(who.WHO, script, []) == (
        "Username  Login Time  Idle Time  Remote Host  What\n"
        "========  ==========  =========  ===========  ====\n"
        "admin     06:00PM     1h 0m      10.1.3.201   cli\n"
        "bob       07:00PM     0s         10.1.3.9     gui\n"
        "admin     07:00PM     0s         console      cli\n"
    )


async def test_last_lists_logins_from_new_to_old(tmp_path: Path) -> None:
    appliance = make_edge(tmp_path)
    logins, now = appliance.accounts.logins, appliance.clock.now
    logins.began(1, user="admin", kind="cli", remote="10.1.3.67", at=now())
    await appliance.clock.advance(3 * 3600 + 12 * 60)
    logins.ended(1, now())
    logins.stopped(now())
    logins.began(2, user="admin", kind="cli", remote="10.1.3.67", at=now())
    logins.entries[-1].crashed = True
    session = appliance.open_session(user="admin", kind="cli", remote="10.1.3.67")
    logins.began(session.pid, user="admin", kind="cli", remote="10.1.3.67", at=now())
    await appliance.clock.advance(15 * 60)
    assert await run_dialog(who.LAST, session, []) == (
        "Username  Remote Host  Login Time        Logout Time       Total Time\n"
        "========  ===========  ================  ================  ==========\n"
        "admin     10.1.3.67    Tue Nov 24 12:12  still logged in   15m\n"
        "admin     10.1.3.67    Tue Nov 24 12:12  crashed\n"
        "shutdown                                 Tue Nov 24 12:12\n"
        "admin     10.1.3.67    Tue Nov 24 09:00  Tue Nov 24 12:12  3h 12m\n"
    )


async def test_whoami(tmp_path: Path) -> None:
    session = make_edge(tmp_path).open_session(user="admin", kind="cli", remote="10.1.3.67")
    assert await run_dialog(who.WHOAMI, session, []) == (
        "Username: admin\nFull Name: Administrator\nGroups: admin, operators, config, log, guest\n"
    )
