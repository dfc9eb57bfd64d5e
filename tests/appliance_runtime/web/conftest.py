"""The web service on real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from appliance_runtime.queue.message_queue import MessageQueue
from appliance_runtime.state_directory import StateDirectory
from appliance_runtime.web.service import WebService
from appliance_state.model import Config
from tests.support.edge import PASSPHRASE
from tests.support.web import Browser, Opener, WebAppliance


@pytest.fixture
async def appliance(tmp_path: Path) -> AsyncIterator[WebAppliance]:
    directory = StateDirectory(tmp_path)
    directory.lock()
    made = WebAppliance(config=Config(), files=directory.files, directory=directory)
    made.set_user(made.config.users["admin"], PASSPHRASE)
    made.set_interface(https_redirect=False)
    made.queue = await MessageQueue.open(directory.queue, made.clock)
    yield made
    await made.queue.close()
    await made.alerts.close()
    directory.unlock()


@pytest.fixture
async def service(appliance: WebAppliance) -> AsyncIterator[WebService]:
    made = WebService(appliance, login_delay=0.0)  # type: ignore[arg-type]
    yield made
    await made.stop()


@pytest.fixture
async def listen(appliance: WebAppliance, service: WebService) -> AsyncIterator[Opener]:
    opener = Opener(appliance, service)
    yield opener
    for accepting in opener.accepting:
        accepting.close()


@pytest.fixture
async def browser(listen: Opener) -> Browser:
    """A visitor of an HTTP socket that shows pages."""
    return Browser(await listen())
