"""Displays that go on until the operator stops them: tail, rate, hostrate, workqueue rate (operations.md 3, 4.1, 6.2)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from datetime import timedelta
from zoneinfo import ZoneInfo

from appliance_runtime.sessions import Session
from commands.answers import integer
from commands.arguments import Arguments
from commands.dialog import Conversation, EndOfInput

SECONDS_QUESTION = "Enter the number of seconds between displays."
DEFAULT_SECONDS = 10
WAY_OUT = "Type Ctrl-C to return to the main prompt."

seconds_of = integer(1, 3600)
count_of = integer(1, 1_000_000)

Rows = Callable[[], Awaitable[list[str]]]
"""gives the cells of a row, without the time; keeps what it needs to tell the difference to the row before"""


async def print_until_stopped(talk: Conversation, lines: AsyncIterator[str]) -> None:
    """Print lines as they come. With a keyboard until Ctrl-C, else until the lines or the input end.

    Input that has ended already does not hide the lines that are there.
    """
    talk.unrecorded = 0  # Ctrl-C is the way out and loses nothing
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


async def ask_seconds(talk: Conversation) -> int:
    return await talk.ask(SECONDS_QUESTION, seconds_of, key="seconds", default=DEFAULT_SECONDS)


async def display(talk: Conversation, session: Session, heading: str, cells: Rows, edges: tuple[int, ...], seconds: int) -> None:
    """The dialog: a row every so many seconds until it is stopped."""
    talk.show(f"{WAY_OUT}\n\n{heading}")
    async with aclosing(_rows(session, cells, edges, seconds, None)) as rows:
        await print_until_stopped(talk, rows)


async def display_some(talk: Conversation, session: Session, heading: str, cells: Rows, edges: tuple[int, ...], args: Arguments) -> None:
    """The batch form `<seconds> [<count>]`: ends after `count` rows, or when the channel closes."""
    seconds = seconds_of(args.word("seconds"))
    given = args.optional()
    count = None if given is None else count_of(given)
    args.end()
    talk.say(heading)
    async with aclosing(_rows(session, cells, edges, seconds, count)) as rows:
        if count is None:
            await print_until_stopped(talk, rows)
        else:
            async for row in rows:
                talk.say(row)


async def _rows(session: Session, cells: Rows, edges: tuple[int, ...], seconds: int, count: int | None) -> AsyncGenerator[str, None]:
    appliance = session.appliance
    given = 0
    while count is None or given < count:
        moment = appliance.clock.now()
        if given:
            await appliance.clock.sleep_until(moment + timedelta(seconds=seconds))
        values = await cells()
        row = f"{appliance.clock.now().astimezone(ZoneInfo(appliance.running()[1].system.timezone)):%H:%M:%S}"
        for cell, edge in zip(values, edges, strict=True):
            row += f"{cell:>{edge - len(row)}}" if len(cell) < edge - len(row) else f" {cell}"
        yield row
        given += 1
