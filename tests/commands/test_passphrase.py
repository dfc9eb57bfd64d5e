"""passphrase: at once, without commit (users-and-access.md 3)."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from appliance_runtime.accounts import passphrase_matches
from appliance_state.model.system import System
from commands.passphrase import COMMAND
from tests.support.edge import PASSPHRASE, EdgeAppliance, make_edge
from tests.support.terminal import run_dialog

NEW = "a new passphrase"


@pytest.fixture
def appliance(tmp_path: Path) -> EdgeAppliance:
    return make_edge(tmp_path)


def current(appliance: EdgeAppliance) -> bytes:
    ref = appliance.config.users["admin"].passphrase
    assert ref is not None
    return appliance.vault.reveal(ref)


async def test_a_session_from_outside_is_asked_for_the_old_one(appliance: EdgeAppliance) -> None:
    session = appliance.open_session(user="admin", kind="cli", remote="192.0.2.7", interface="Management", service="ssh")
    shown = await run_dialog(COMMAND, session, [PASSPHRASE, NEW, NEW])
    assert shown == "Old passphrase: \nNew passphrase: \nRetype new passphrase: \nPassphrase changed.\n"
    assert passphrase_matches(NEW, current(appliance))
    assert not passphrase_matches(PASSPHRASE, current(appliance))


async def test_a_wrong_old_one_ends_the_command(appliance: EdgeAppliance) -> None:
    session = appliance.open_session(user="admin", kind="cli", remote="192.0.2.7", interface="Management", service="ssh")
    assert await run_dialog(COMMAND, session, ["wrong"]) == "Old passphrase: \nThe passphrase is not correct.\n"
    assert passphrase_matches(PASSPHRASE, current(appliance))
    assert ("authentication.failure", {"user": "admin", "remote": "192.0.2.7", "protocol": "SSH"}) in appliance.logs.events


async def test_the_local_user_is_not_asked_and_a_mismatch_is_asked_again(appliance: EdgeAppliance) -> None:
    session = appliance.open_session(user="admin", kind="script", remote="console")
    shown = await run_dialog(COMMAND, session, ["short", NEW, "another one", NEW, NEW])
    assert shown == (
        "New passphrase: \nThe passphrase must be at least 8 characters long.\n\n"
        "New passphrase: \nRetype new passphrase: \nThe passphrases do not match.\n\n"
        "New passphrase: \nRetype new passphrase: \nPassphrase changed.\n"
    )
    assert passphrase_matches(NEW, current(appliance))


async def test_pending_changes_of_the_session_survive(appliance: EdgeAppliance) -> None:
    session = appliance.open_session(user="admin", kind="script", remote="console")
    session.draft.config = session.draft.config.with_(system=attrs.evolve(System(), hostname="a.test"))
    await run_dialog(COMMAND, session, [NEW, NEW])
    assert session.draft.config.system.hostname == "a.test"
    assert appliance.config.system.hostname == "mail.example.com"
