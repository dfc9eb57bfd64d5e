"""A real browser accepts what the web service sends: nothing of a page violates its own policy, the form is drawn."""

from __future__ import annotations

import asyncio
import shutil
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from appliance_runtime.queue.message_queue import MessageQueue
from appliance_runtime.state_directory import StateDirectory
from appliance_runtime.web.service import WebService
from appliance_state.model import Config
from tests.support.web import Opener, WebAppliance

CHROMIUM = shutil.which("chromium") or ""
pytestmark = [pytest.mark.e2e, pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed")]
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--enable-logging=stderr",
    "--virtual-time-budget=2000",
)


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[int]:
    directory = StateDirectory(tmp_path / "state")
    directory.lock()
    appliance = WebAppliance(config=Config(), files=directory.files, directory=directory)
    appliance.set_interface(https_redirect=False)
    appliance.queue = await MessageQueue.open(directory.queue, appliance.clock)
    service = WebService(appliance)  # type: ignore[arg-type]
    opener = Opener(appliance, service)
    yield await opener()
    opener.accepting[0].close()
    await service.stop()
    await appliance.queue.close()
    directory.unlock()


async def chromium(*arguments: str) -> tuple[str, str]:
    process = await asyncio.create_subprocess_exec(
        CHROMIUM, *OPTIONS, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, messages = await asyncio.wait_for(process.communicate(), 60)
    return output.decode(), messages.decode(errors="replace")


async def test_the_login_form(port: int, tmp_path: Path) -> None:
    picture = tmp_path / "login.png"
    address = f"http://127.0.0.1:{port}/login"
    page, console = await chromium(f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", address)
    assert '<form id="login"' in page
    assert "CONSOLE" not in console, "the browser has something to complain about"
    await chromium(f"--user-data-dir={tmp_path / 'profile'}", "--window-size=800,600", f"--screenshot={picture}", address)
    assert struct.unpack(">II", picture.read_bytes()[16:24]) == (800, 600)
