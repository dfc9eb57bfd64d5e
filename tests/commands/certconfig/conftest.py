"""A session with the demo certificate only, and its certificate menu."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from appliance_runtime.sessions import Session
from commands.certconfig import certificate
from tests.support.appliance import make_session
from tests.support.terminal import run_dialog

Operate = Callable[..., Awaitable[str]]
LIST = "\nList of Certificates\n"


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return make_session(files=tmp_path)


@pytest.fixture
def operate(session: Session) -> Operate:
    """Run one operation; what is printed between its word and the list that follows."""

    async def run(*answers: str) -> str:
        screen = await run_dialog(certificate.menu, session, [*answers, ""])
        start = screen.index("[]> ") + len("[]> ")
        return screen[start : screen.index(LIST, start)]

    return run
