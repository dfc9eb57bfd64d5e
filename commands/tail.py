"""tail: the end of a log file, and its new lines as they are written (operations.md 6.2)."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from appliance_runtime.sessions import Session
from commands.answers import integer
from commands.arguments import Arguments
from commands.continuous import print_until_stopped
from commands.dialog import Conversation
from commands.log_choice import existing_log, pick_rows
from commands.registry import Command

SHOWN = 10
MOST = 5000


async def tail(talk: Conversation, session: Session) -> None:
    log = await talk.choose(
        pick_rows(session.appliance.running()[1]),
        key="log",
        above="Currently configured logs:",
        below="Enter the number of the log you wish to tail.",
    )
    talk.show("Press Ctrl-C to stop.")
    await _follow(talk, session, log, SHOWN)


async def _follow(talk: Conversation, session: Session, log: str, count: int) -> None:
    """Until Ctrl-C, or, without a keyboard, until the input ends."""
    async with aclosing(session.appliance.logs.follow(log, count)) as lines:
        await print_until_stopped(talk, lines)


async def _batch(talk: Conversation, session: Session, args: Arguments) -> None:
    options = args.declare(valued=("lines",), flags=("no_follow",))
    name = args.word("log")
    args.end()
    count = integer(1, MOST)(options["lines"]) if "lines" in options else SHOWN
    log = existing_log(session.appliance.running()[1], name)
    if "no_follow" not in options:
        await _follow(talk, session, log, count)
        return
    for line in await asyncio.to_thread(session.appliance.logs.lines, log, count):
        talk.say(line)


COMMAND = Command(
    "tail",
    "Continuously display the end of a log file.",
    dialog=tail,
    batch=_batch,
    usage="tail <log> [--lines=<n>] [--no-follow]",
)
