"""updatenow and certconfig > CERTAUTHORITY > SYSTEM > UPDATE (tls-tools.md 4, certconfig.md 5.4)."""

from __future__ import annotations

import asyncio

import attrs

from appliance_state.certificates.ca_bundle import packaged_bundle
from commands.certconfig import COMMAND as CERTCONFIG
from commands.certconfig import authorities
from commands.updatenow import COMMAND
from tests.support.appliance import make_session
from tests.support.terminal import run_batch, run_dialog

VERSION = packaged_bundle().version
LATEST = f"The Cisco Trusted Root Certificate Bundle is already at the latest version ({VERSION}).\n"
UPDATED = f"The Cisco Trusted Root Certificate Bundle was updated from version 2001.1.1 to {VERSION}.\n"
FAILED = "The Cisco Trusted Root Certificate Bundle was not updated: no update server is configured.\n"
UPDATE = f"certconfig certauthority system {'update'}"


def outdated():
    """A session at an appliance whose list is an old one, and the updater."""
    session = make_session()
    updater = session.appliance.trust.updater
    updater.bundle = attrs.evolve(packaged_bundle(), version="2001.1.1")
    return session, updater


def without_source(session) -> None:
    appliance = session.appliance
    appliance.config = appliance.config.with_(updates=attrs.evolve(appliance.config.updates, source="server"))


async def finished(session) -> str:
    async with asyncio.timeout(10):
        while not session.appliance.logs.lines:
            await asyncio.sleep(0.002)
    return session.appliance.logs.lines[-1]


async def test_it_returns_at_once_and_updates_in_the_background() -> None:
    session, updater = outdated()
    assert await run_dialog(COMMAND, session, []) == "Success - All component updates requested\n"
    assert f"{await finished(session)}\n" == UPDATED and updater.bundle.version == VERSION
    assert not session.draft.changed


async def test_force() -> None:
    session, updater = outdated()
    updater.bundle = packaged_bundle()
    assert await run_batch(COMMAND, session, "updatenow force") == ("Success - Force update for all components requested\n", False)
    assert f"{await finished(session)}\n" == LATEST and updater.bundle.updated is not None


async def test_wait() -> None:
    session, _ = outdated()
    assert await run_batch(COMMAND, session, "updatenow --wait") == (UPDATED, False)
    assert await run_batch(COMMAND, session, "updatenow force --wait") == (LATEST, False)
    without_source(session)
    assert await run_batch(COMMAND, session, "updatenow --wait") == (FAILED, True)


async def test_wrong_words() -> None:
    session, _ = outdated()
    error = "Invalid arguments when processing updatenow:\n"
    assert await run_batch(COMMAND, session, "updatenow now") == (f"{error}Unknown operation.\n: 'now'\n", True)
    assert await run_batch(COMMAND, session, "updatenow force x") == (f"{error}Too many arguments.\n: 'x'\n", True)
    assert await run_batch(COMMAND, session, "updatenow --now") == (f"{error}Unknown option.\n: '--now'\n", True)


async def test_update_of_the_system_list() -> None:
    session, _ = outdated()
    screen = await run_dialog(authorities.system, session, ["update", "update", ""])
    assert f"[]> update\n{UPDATED}\n" in screen and f"[]> update\n{LATEST}\n" in screen
    assert f"version {VERSION}, last updated Tue Nov 24 09:00:00 2026 GMT" in authorities.summary(session)
    assert await run_batch(CERTCONFIG, session, UPDATE) == ("", False)
    without_source(session)
    assert FAILED in await run_dialog(authorities.system, session, ["update", ""])
    assert await run_batch(CERTCONFIG, session, UPDATE) == (FAILED, True)
    assert [alert[:4] for alert in session.appliance.alerts] == [
        ("updater.failed", "Cisco Trusted Root Certificate Bundle", "Updater", "Warning")
    ] * 2
