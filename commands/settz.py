"""settz: the time zone of every date, log line and file name (users-and-access.md 7)."""

from __future__ import annotations

import importlib.resources

from attrs import evolve

from appliance_runtime.sessions import Session
from commands.arguments import Arguments
from commands.dialog import Conversation, Rejected
from commands.menu import Menu
from commands.registry import Command


def zone_names() -> list[str]:
    """All names of the IANA time zone data that come with the product."""
    return (importlib.resources.files("tzdata") / "zones").read_text("ascii").split()


def timezone(answer: str) -> str:
    """The name as the data write it; any case is understood."""
    for name in zone_names():
        if name.casefold() == answer.casefold():
            return name
    raise Rejected(f'"{answer}" is not a known time zone.')


menu: Menu[Session] = Menu(status=lambda session: f"Current time zone: {session.draft.config.system.timezone}")


@menu.operation("SETUP", "Set the local time zone.")
async def setup(talk: Conversation, session: Session) -> None:
    draft = session.draft
    name = await talk.ask(
        'Please enter the time zone (Ex: "GMT", "Europe/Paris"):', timezone, key="zone", default=draft.config.system.timezone
    )
    draft.config = draft.config.with_(system=evolve(draft.config.system, timezone=name))


async def _batch(talk: Conversation, session: Session, args: Arguments) -> None:
    zone = args.word("zone")
    args.end()
    await setup(talk.answering({"zone": zone}), session)


COMMAND = Command(
    "settz",
    "Set the local time zone.",
    dialog=menu.run,
    batch=_batch,
    needs_commit=True,
    usage="settz <zone>",
)
