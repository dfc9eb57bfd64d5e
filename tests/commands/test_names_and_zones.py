"""sethostname, settz, version, date (users-and-access.md 7, 9)."""

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from appliance_runtime.product import Product
from appliance_state.model import Config
from appliance_state.model.system import System
from appliance_state.names import HOSTNAME_RULES
from commands.sethostname import COMMAND as SETHOSTNAME
from commands.settz import COMMAND as SETTZ
from commands.settz import timezone, zone_names
from commands.version import COMMANDS
from tests.support.appliance import make_appliance, make_session
from tests.support.terminal import CTRL_C, run_batch, run_dialog

VERSION, DATE = COMMANDS


async def test_sethostname() -> None:
    session = make_session(Config().with_(system=System(hostname="oldname.example.com")))
    assert await run_dialog(SETHOSTNAME, session, ["Mail3.example.com"]) == "[oldname.example.com]> Mail3.example.com\n"
    assert session.draft.config.system.hostname == "mail3.example.com"
    assert session.appliance.running()[1].system.hostname == "oldname.example.com"


async def test_sethostname_with_answers_that_are_refused() -> None:
    session = make_session()
    screen = await run_dialog(SETHOSTNAME, session, ["mail", "-a.example.com", ""])
    assert screen == (
        f"[mail.example.com]> mail\n{HOSTNAME_RULES}\n\n[mail.example.com]> -a.example.com\n{HOSTNAME_RULES}\n\n[mail.example.com]> \n"
    )
    await run_dialog(SETHOSTNAME, session, [CTRL_C])
    assert not session.draft.changed


async def test_sethostname_batch() -> None:
    session = make_session()
    assert await run_batch(SETHOSTNAME, session, "sethostname mail") == (f"{HOSTNAME_RULES}\n", True)
    assert not session.draft.changed
    assert await run_batch(SETHOSTNAME, session, "sethostname mail3.example.com") == ("", False)
    assert session.draft.config.system.hostname == "mail3.example.com"


async def test_transcript_of_settz() -> None:
    session = make_session()
    assert (
        await run_dialog(SETTZ, session, ["setup", "Mars/Olympus", "asia/tokyo", ""])
        == """\
Current time zone: GMT

Choose the operation you want to perform:
- SETUP - Set the local time zone.
[]> setup

Please enter the time zone (Ex: "GMT", "Europe/Paris"):
[GMT]> Mars/Olympus
"Mars/Olympus" is not a known time zone.

Please enter the time zone (Ex: "GMT", "Europe/Paris"):
[GMT]> asia/tokyo

Current time zone: Asia/Tokyo

Choose the operation you want to perform:
- SETUP - Set the local time zone.
[]> 
"""
    )
    assert session.draft.config.system.timezone == "Asia/Tokyo"


async def test_settz_batch() -> None:
    session = make_session()
    assert await run_batch(SETTZ, session, "settz ../etc/passwd") == ('"../etc/passwd" is not a known time zone.\n', True)
    assert not session.draft.changed
    assert await run_batch(SETTZ, session, "settz europe/paris") == ("", False)
    assert session.draft.config.system.timezone == "Europe/Paris"


@pytest.mark.parametrize("name", ["GMT", "UTC", "Europe/Paris", "Asia/Tokyo", "America/Argentina/Ushuaia"])
def test_zones(name: str) -> None:
    assert name in zone_names()
    assert timezone(name.upper()) == name
    ZoneInfo(name)


async def test_transcript_of_version() -> None:
    session = make_session()
    session.appliance.install_date = datetime(2024, 6, 11, 12, 17, 23, tzinfo=UTC)
    screen = await run_dialog(VERSION, session, [])
    assert (
        screen
        == """\
Current Version
===============
Product: Cisco C100V Email Security Virtual Appliance
Model: C100V
Version: 15.5.1-055
Build Date: 2024-03-12
Install Date: 2024-06-11 12:17:23
Serial #: 000F1F6ACFA6-2Y5SQ41
BIOS: 6.00
CPUs: 2 expected, 2 allocated
Memory: 6144 MB expected, 6144 MB allocated
RAID: NA
RAID Status: Unknown
RAID Type: NA
BMC: NA
"""
    )
    for pattern in (
        r"^Version: ([0-9.-]+)",
        r"^Model: (.+)",
        r"^Serial #: ([0-9A-Z-]+)",
        r"^CPUs:.* ([0-9]+) allocated",
        r"^Memory:.* ([0-9]+) MB allocated",
    ):
        assert re.search(pattern, screen, re.MULTILINE)


async def test_version_shows_the_emulated_data() -> None:
    appliance = make_appliance(Config().with_(system=System(timezone="Asia/Tokyo")))
    appliance.product = Product(model="C690", version="14.2.0", build="620", serial="0123456789AB-ABCDEFG")
    screen = await run_dialog(VERSION, make_session(appliance=appliance), [])
    assert "Product: Cisco C690 Email Security Appliance\nModel: C690\nVersion: 14.2.0-620\n" in screen
    assert "Install Date: 2026-11-24 18:00:00\nSerial #: 0123456789AB-ABCDEFG\n" in screen


async def test_date_follows_the_committed_time_zone() -> None:
    session = make_session()
    assert await run_dialog(DATE, session, []) == "Tue Nov 24 09:00:00 2026 GMT\n"
    await run_batch(SETTZ, session, "settz Asia/Tokyo")
    assert await run_dialog(DATE, session, []) == "Tue Nov 24 09:00:00 2026 GMT\n"
    session.appliance.accept(session.draft)  # type: ignore[attr-defined]
    assert await run_dialog(DATE, session, []) == "Tue Nov 24 18:00:00 2026 JST\n"
