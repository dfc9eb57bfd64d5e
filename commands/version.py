"""version and date (users-and-access.md 9). What `version` shows of the machine are emulated data."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from appliance_runtime.clock import long_date
from appliance_runtime.product import BUILD_DATE
from appliance_runtime.sessions import Session
from commands.dialog import Conversation
from commands.registry import Command

HARDWARE = """\
BIOS: 6.00
CPUs: 2 expected, 2 allocated
Memory: 6144 MB expected, 6144 MB allocated
RAID: NA
RAID Status: Unknown
RAID Type: NA
BMC: NA"""


def version_text(session: Session) -> str:
    appliance = session.appliance
    product = appliance.product
    installed = appliance.install_date.astimezone(ZoneInfo(appliance.running()[1].system.timezone))
    return "\n".join(
        [
            "Current Version",
            "===============",
            f"Product: Cisco {product.model} {product.kind}",
            f"Model: {product.model}",
            f"Version: {product.full_version}",
            f"Build Date: {BUILD_DATE}",
            f"Install Date: {installed:%Y-%m-%d %H:%M:%S}",
            f"Serial #: {product.serial}",
            HARDWARE,
        ]
    )


async def version(talk: Conversation, session: Session) -> None:
    talk.show(version_text(session))


async def date(talk: Conversation, session: Session) -> None:
    appliance = session.appliance
    talk.show(long_date(appliance.clock.now(), appliance.running()[1].system.timezone))


COMMANDS = (
    Command("version", "View system version information.", dialog=version),
    Command("date", "Display the current date and time.", dialog=date),
)
