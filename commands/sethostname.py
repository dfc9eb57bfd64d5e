"""sethostname: the name of the appliance (users-and-access.md 7)."""

from __future__ import annotations

from attrs import evolve

from appliance_runtime.sessions import Session
from commands.answers import hostname
from commands.arguments import Arguments
from commands.dialog import Conversation
from commands.registry import Command


async def sethostname(talk: Conversation, session: Session) -> None:
    """One question without a text line; the prompt shows the new name after the commit."""
    draft = session.draft
    name = await talk.ask("", hostname, key="hostname", default=draft.config.system.hostname)
    draft.config = draft.config.with_(system=evolve(draft.config.system, hostname=name))


async def _batch(talk: Conversation, session: Session, args: Arguments) -> None:
    name = args.word("name")
    args.end()
    await sethostname(talk.answering({"hostname": name}), session)


COMMAND = Command(
    "sethostname", "Set the name of the machine.", dialog=sethostname, batch=_batch, needs_commit=True, usage="sethostname <name>"
)
