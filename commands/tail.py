"""tail: the end of a log file, and its new lines as they are written (operations.md 6.2)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

from appliance_runtime.sessions import Session
from appliance_state.model import Config
from commands.answers import integer
from commands.arguments import Arguments
from commands.dialog import Conversation, EndOfInput, Refused
from commands.registry import Command

SHOWN = 10
MOST = 5000


def pick_rows(config: Config) -> list[tuple[str, str]]:
    """(name, row of a pick list) of every log subscription."""
    return [(log.name, f'"{log.name}" Type: "{log.type.label}" Retrieval: Manual Download') for log in config.logs.sorted()]


async def tail(talk: Conversation, session: Session) -> None:
    log = await talk.choose(
        pick_rows(session.appliance.running()[1]),
        key="log",
        above="Currently configured logs:",
        below="Enter the number of the log you wish to tail.",
    )
    talk.show("Press Ctrl-C to stop.")
    talk.unrecorded = 0  # Ctrl-C is the way out and loses nothing
    await _follow(talk, session, log, SHOWN)


async def _follow(talk: Conversation, session: Session, log: str, count: int) -> None:
    """Until Ctrl-C, or, without a keyboard, until the input ends."""
    async with aclosing(session.appliance.logs.follow(log, count)) as lines:
        await _print_until_stopped(talk, lines)


async def _print_until_stopped(talk: Conversation, lines: AsyncIterator[str]) -> None:
    """Print lines as they come. With a keyboard until Ctrl-C, else until the log or the input ends.

    Input that has ended already does not hide the lines that are there.
    """
    listening = asyncio.ensure_future(_end_of_input(talk))
    try:
        while True:
            following = asyncio.ensure_future(anext(lines, None))
            try:
                await asyncio.wait((following, listening), return_when=asyncio.FIRST_COMPLETED)
            finally:
                if not following.done():
                    following.cancel()
                    await asyncio.wait((following,))
            if listening.done():
                listening.result()
            if following.cancelled() or (line := following.result()) is None:
                return
            talk.say(line)
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def _end_of_input(talk: Conversation) -> None:
    """Read input away until there is no more of it. Errors: Interrupted, EndOfInput with a keyboard."""
    while True:
        try:
            await talk.terminal.read_line("")
        except EndOfInput:
            if talk.terminal.keyboard:
                raise
            return


async def _batch(talk: Conversation, session: Session, args: Arguments) -> None:
    options = args.declare(valued=("lines",), flags=("no_follow",))
    name = args.word("log")
    args.end()
    count = integer(1, MOST)(options["lines"]) if "lines" in options else SHOWN
    logs = session.appliance.running()[1].logs
    if name not in logs:
        raise Refused(f'There is no log named "{name}".')
    if "no_follow" not in options:
        await _follow(talk, session, logs[name].name, count)
        return
    for line in await asyncio.to_thread(session.appliance.logs.lines, logs[name].name, count):
        talk.say(line)


COMMAND = Command(
    "tail",
    "Continuously display the end of a log file.",
    dialog=tail,
    batch=_batch,
    usage="tail <log> [--lines=<n>] [--no-follow]",
)
