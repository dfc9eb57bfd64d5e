"""rollovernow: begin new log files at once (operations.md 6.2)."""

from __future__ import annotations

import asyncio

from appliance_runtime.sessions import Session
from commands.arguments import Arguments
from commands.dialog import Conversation, Refused
from commands.log_choice import existing_log, pick_rows
from commands.registry import Command

ALL = "All Logs"
DONE = "Log files successfully rolled over."


async def rollovernow(talk: Conversation, session: Session) -> None:
    log = await talk.choose(
        [*pick_rows(session.appliance.running()[1]), (ALL, ALL)],
        key="log",
        above="Currently configured logs:",
        below="Which log would you like to roll over?",
    )
    await _roll_over(session, log)
    talk.note(DONE)


async def _roll_over(session: Session, log: str) -> None:
    appliance = session.appliance
    names = [entry.name for entry in appliance.running()[1].logs.sorted()] if log == ALL else [log]
    for name in names:
        try:
            await asyncio.to_thread(appliance.logs.roll_over, name)
        except OSError as error:
            raise Refused(f'The log "{name}" cannot be rolled over: {error.strerror}') from None


async def _batch(talk: Conversation, session: Session, args: Arguments) -> None:
    name = args.word("log")
    args.end()
    await _roll_over(session, ALL if name.lower() == "all" else existing_log(session.appliance.running()[1], name))


COMMAND = Command("rollovernow", "Roll over a log file.", dialog=rollovernow, batch=_batch, usage="rollovernow <log>|all")
